package stage

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/cmd/internal/config"
	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/internal/daemon"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/schemas"
)

// instance is one of several instances of connect.
type instance struct {
	addr, admin string
	stop        func()
}

func TestOfTwoInstancesEitherAnswersAndOneTakesOver(t *testing.T) {
	cluster := kafkatest.New(t)
	cluster.CreateTopics(t, schemas.NewTopics("halo."), 1)
	dir := t.TempDir()
	cfg := config.Connect{
		PublicIngestURL: "http://127.0.0.1:8080",
		KeysetFile:      filepath.Join(dir, "keyset.json"),
		APITokensFile:   filepath.Join(dir, "api-tokens"),
		ClickHouse:      config.ClickHouse{ClickHouseDSN: "http://127.0.0.1:1/worksights"}, // not asked
		Kafka:           config.Kafka{KafkaBrokers: cluster.Config.Brokers, TopicPrefix: "halo."},
	}
	if err := vault.NewKeyset(cfg.KeysetFile); err != nil {
		t.Fatal(err)
	}
	token, err := access.New(cfg.APITokensFile, access.Grant{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	both := []*instance{startConnect(t, cfg), startConnect(t, cfg)}
	put := func(c *instance) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+c.addr+"/v1/tenants/acme/users", strings.NewReader(`[]`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token.Reveal())
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0 // not up yet
		}
		defer func() { _ = resp.Body.Close() }()
		_, _ = io.Copy(io.Discard, resp.Body) // the status is what is asked for
		return resp.StatusCode
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	answers := func(who ...*instance) {
		t.Helper()
		for _, c := range who {
			deadline := time.After(30 * time.Second)
			for {
				ready, why, err := daemon.Ask(t.Context(), c.admin)
				if ready && put(c) == http.StatusOK {
					break
				}
				select {
				case <-tick.C:
				case <-deadline:
					t.Fatalf("ready %v, %q, %v, and answers %d", ready, why, err, put(c))
				}
			}
		}
	}
	answers(both...)
	both[0].stop() // whichever of the two acted
	answers(both[1])
	third := startConnect(t, cfg)
	answers(third, both[1])
}

// startConnect starts an instance whose peers are told where it is.
func startConnect(t *testing.T, cfg config.Connect) *instance {
	t.Helper()
	c := &instance{addr: freeAddr(t), admin: freeAddr(t)}
	cfg.ListenAddr, cfg.PeerURL = c.addr, "http://"+c.addr
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- daemon.Run(ctx, daemon.Config{Program: "connect", AdminAddr: c.admin, LogLevel: "error", LogFormat: "text"},
			func(ctx context.Context, log *slog.Logger, reg *prometheus.Registry) ([]daemon.Component, error) {
				return Connect(ctx, cfg, log, reg)
			})
	}()
	stopped := false
	c.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("an instance ended with %v", err)
		}
	}
	t.Cleanup(c.stop)
	return c
}
