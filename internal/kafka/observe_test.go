//go:build synctests

package kafka_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
)

// Without Kafka the client tries, and complains, several times a second.
func TestAComplaintOfTheClientIsOneLineThatNamesTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		tries := 0
		cl, err := kafka.NewConsumer(kafka.Config{Brokers: []string{"10.1.2.3:9092"}, ClientID: "sink"}, "sink", []string{"activities"},
			slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})), nil,
			kgo.Dialer(func(_ context.Context, _, _ string) (net.Conn, error) {
				tries++
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
			}))
		if err != nil {
			t.Fatal(err)
		}
		defer kafka.Leave(cl)
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		lines := map[string]int{}
		for line := range strings.Lines(log.String()) {
			_, msg, _ := strings.Cut(line, "msg=")
			msg, _, _ = strings.Cut(msg, " client=")
			lines[msg]++
		}
		if tries < 100 || len(lines) == 0 {
			t.Fatalf("%d tries, %d messages: this proves nothing", tries, len(lines))
		}
		for msg, n := range lines {
			if n != 1 {
				t.Errorf("%s is said %d times in four minutes, want once", msg, n)
			}
		}
		if !strings.Contains(log.String(), "10.1.2.3:9092") {
			t.Errorf("no line names the address:\n%s", &log)
		}
	})
}
