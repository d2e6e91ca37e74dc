package kafka_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/schemas"
)

var silent = slog.New(slog.DiscardHandler)

func TestSASLReachesABrokerThatDemandsIt(t *testing.T) {
	for _, mechanism := range []string{kafka.Plain, kafka.ScramSHA256, kafka.ScramSHA512} {
		t.Run(mechanism, func(t *testing.T) {
			c := kafkatest.New(t, kfake.EnableSASL(), kfake.Superuser(mechanism, "edge", "open sesame"))
			cfg := c.Config
			cfg.SASLMechanism, cfg.SASLUser, cfg.SASLPassword = mechanism, "edge", "open sesame"
			cl, err := kafka.NewProducer(cfg, silent, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			if err := cl.Ping(t.Context()); err != nil {
				t.Errorf("with the right password: %v", err)
			}
		})
	}
}

func TestTLSVerifiesTheBroker(t *testing.T) {
	server := httptest.NewTLSServer(nil) // lends its certificate
	defer server.Close()
	c := kafkatest.New(t, kfake.TLS(&tls.Config{Certificates: server.TLS.Certificates}))
	cfg := c.Config
	cfg.TLS = true

	cl, err := kafka.NewProducer(cfg, silent, nil, kgo.RetryTimeout(1), kgo.RequestRetries(0))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var unknown x509.UnknownAuthorityError
	if err := cl.Ping(t.Context()); !errors.As(err, &unknown) {
		t.Errorf("a broker that nobody vouches for: %v, want %T", err, unknown)
	}
}

func TestSeveralClientsShareOneRegistryAndLeaveItWhenClosed(t *testing.T) {
	c := kafkatest.New(t, kfake.SeedTopics(1, "log"))
	reg := prometheus.NewRegistry()
	clients := func() []string {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range families {
			if !strings.HasPrefix(f.GetName(), "halo_kafka_") {
				t.Errorf("metric %s does not begin with halo_kafka_", f.GetName())
			}
			if f.GetName() != "halo_kafka_buffered_produce_bytes" {
				continue
			}
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					if l.GetName() == "client" {
						names = append(names, l.GetValue())
					}
				}
			}
		}
		slices.Sort(names)
		return names
	}
	producer, err := kafka.NewProducer(c.Config, silent, reg)
	if err != nil {
		t.Fatal(err)
	}
	twin, err := kafka.NewProducer(c.Config, silent, reg)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := kafka.NewReader(c.Config, "log", silent, reg)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	consumer, err := kafka.NewConsumer(c.Config, "sink", []string{"log"}, silent, reg)
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.CloseAllowingRebalance()
	if got, want := clients(), []string{"test/log", "test/producer", "test/producer-2", "test/sink"}; !slices.Equal(got, want) {
		t.Errorf("clients on the registry: %q, want %q", got, want)
	}
	producer.Close()
	twin.Close()
	if got, want := clients(), []string{"test/log", "test/sink"}; !slices.Equal(got, want) {
		t.Errorf("clients on the registry after two closed: %q, want %q", got, want)
	}
}

func TestADeadLetterSaysWhyAndWhereFrom(t *testing.T) {
	r := kafka.Record("halo.events", "acme", schemas.EventSchema, []byte("{"))
	r.Partition, r.Offset = 7, 42
	d := kafka.Dead(schemas.NewTopics("halo."), r, "malformed")
	if d.Topic != "halo.dead" || string(d.Key) != "acme" || string(d.Value) != "{" {
		t.Errorf("dead letter = %s %s %s", d.Topic, d.Key, d.Value)
	}
	got := map[string]string{}
	for _, h := range d.Headers {
		got[h.Key] = string(h.Value)
	}
	for k, want := range map[string]string{"reason": "malformed", "topic": "halo.events", "partition": "7", "offset": "42", "schema": "halo.event/1"} {
		if got[k] != want {
			t.Errorf("header %s = %q, want %q", k, got[k], want)
		}
	}
	r.Value = make([]byte, 1<<20)
	d = kafka.Dead(schemas.NewTopics("halo."), r, "malformed")
	if size := d.Headers[len(d.Headers)-1]; len(d.Value) != 512<<10 || size.Key != "size" || string(size.Value) != "1048576" {
		t.Errorf("of a megabyte %d bytes are kept, and the last header is %s=%s", len(d.Value), size.Key, size.Value)
	}
	if s := kafka.Schema(&kgo.Record{}); s != "" {
		t.Errorf("Schema of a record without headers = %q", s)
	}
}
