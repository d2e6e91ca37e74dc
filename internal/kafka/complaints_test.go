//go:build synctests

package kafka_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
)

func TestWhatCannotBeFetchedIsSaidOnceAndAgainAfterFiveMinutes(t *testing.T) {
	refused := func(port int) error {
		return fmt.Errorf("unable to dial: %w", &net.OpError{
			Op: "dial", Net: "tcp", Source: &net.TCPAddr{Port: port}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED),
		})
	}
	poll := func(topic string, err error) kgo.Fetches {
		return kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: topic, Partitions: []kgo.FetchPartition{{Err: err}}}}}}
	}
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, nil))
		var c kafka.Complaints
		for port := range 4 * 60 {
			c.About(t.Context(), poll("events", refused(port)), log)
			c.About(t.Context(), poll("events", kerr.TopicAuthorizationFailed), log)
			c.About(t.Context(), poll("dead", kerr.TopicAuthorizationFailed), log)
			c.About(t.Context(), poll("", &kgo.ErrGroupSession{Err: kerr.GroupAuthorizationFailed}), log)
			c.About(t.Context(), kgo.NewErrFetch(context.DeadlineExceeded), log)
			c.About(t.Context(), kgo.NewErrFetch(kgo.ErrClientClosed), log)
			time.Sleep(250 * time.Millisecond)
		}
		if n := strings.Count(out.String(), "\n"); n != 4 {
			t.Errorf("%d lines of four reasons:\n%s", n, out.String())
		}
		for _, want := range []string{
			`"cannot fetch, trying on" topic=events partition=0 err="unable to dial`, "topic=events partition=0 err=\"TOPIC_AUTHORIZATION_FAILED",
			"topic=dead", `"out of the consumer group, rejoining"`,
		} {
			if strings.Count(out.String(), want) != 1 {
				t.Errorf("%q is not there once:\n%s", want, out.String())
			}
		}
		time.Sleep(5 * time.Minute)
		c.About(t.Context(), poll("events", kerr.TopicAuthorizationFailed), log)
		if n := strings.Count(out.String(), "\n"); n != 5 {
			t.Errorf("five minutes later: %d lines", n)
		}
	})
}
