package kafkatest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/costtest"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// apartMark makes a test binary a broker.
const apartMark = "KAFKATEST_APART"

// Broker is the first thing that a TestMain calls which wants [Apart]. In a
// process that Apart started it is a broker with what fill makes of Apart's
// argument, and does not return.
func Broker(fill func(what string) []*kgo.Record) {
	what := os.Getenv(apartMark)
	if what == "" {
		return
	}
	if err := serveApart(fill(what)); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serveApart prints the broker's address once the topics are filled, and ends
// with the standard input.
func serveApart(records []*kgo.Record) error {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		return err
	}
	defer cluster.Close()
	cl, err := kafka.NewProducer(kafka.Config{Brokers: cluster.ListenAddrs()}, slog.New(slog.DiscardHandler), nil, kgo.MaxBufferedRecords(len(records)+1))
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := kafka.EnsureTopics(ctx, cl, schemas.NewTopics("halo.").Specs(), kafka.TopicOptions{NoCompaction: true}); err != nil {
		return err
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return err
	}
	cl.Close()
	fmt.Println(cluster.ListenAddrs()[0])
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// Apart starts a broker in a process of its own, so that a benchmark measures a
// stage's process and not Kafka's beside it. It has our topics, with what the
// function that [Broker] was given makes of what, and ends with t.
func Apart(t testing.TB, what string) kafka.Config {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), apartMark+"="+what)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || strings.HasPrefix(addr, "error") {
		t.Fatalf("the broker said %q: %v", addr, err)
	}
	return kafka.Config{Brokers: []string{strings.TrimSpace(addr)}, ClientID: "test"}
}

// AwaitCommits waits until group has committed so many records. It looks ten
// times a second: often enough, and for free.
func AwaitCommits(t testing.TB, cl *kgo.Client, group string, records int64) {
	t.Helper()
	adm := kadm.NewClient(cl)
	for {
		offsets, err := adm.FetchOffsets(t.Context(), group)
		var done int64
		offsets.Each(func(o kadm.OffsetResponse) { done += max(o.At, 0) })
		switch {
		case err == nil && done == records:
			return
		case t.Context().Err() != nil:
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// Drain measures a stage on a backlog of so many records: in each round of b, start
// starts it in a group of its own, which reads from the beginning, and stop ends it
// once the group has committed them all. It reports this process's processor time
// for each thing that a record is, the rate, and the peak of memory.
func Drain(b *testing.B, cfg kafka.Config, records int64, thing string, start func(group string) (stop func())) {
	b.Helper()
	watcher, err := kafka.NewProducer(cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer watcher.Close()
	debug.FreeOSMemory() // what another benchmark left
	costtest.ResetPeak(b)
	var used time.Duration
	rounds := 0
	for b.Loop() {
		rounds++
		group := fmt.Sprintf("group-%d", rounds)
		before := costtest.CPU()
		stop := start(group)
		AwaitCommits(b, watcher, group, records)
		stop()
		used += costtest.CPU() - before
	}
	n := float64(rounds) * float64(records)
	b.ReportMetric(float64(used.Nanoseconds())/1e3/n, "µs-cpu/"+thing)
	b.ReportMetric(n/b.Elapsed().Seconds(), thing+"s/s")
	b.ReportMetric(float64(costtest.Peak(0))/1e6, "peak-rss-MB")
	b.ReportMetric(0, "ns/op")
}
