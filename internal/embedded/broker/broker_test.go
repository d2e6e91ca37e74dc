package broker_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/embedded/broker"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

var silent = slog.New(slog.DiscardHandler)

func start(t *testing.T, cfg broker.Config) *broker.Broker {
	t.Helper()
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	b, err := broker.Start(t.Context(), cfg, silent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func client(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kafka.NewProducer(kafka.Config{Brokers: []string{addr}}, silent, nil, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func createTopic(t *testing.T, cl *kgo.Client) {
	t.Helper()
	specs := []schemas.TopicSpec{{Name: "log", Retention: time.Hour, Partitions: 1}}
	o := broker.TopicOptions()
	o.Partitions = 1
	if err := kafka.EnsureTopics(t.Context(), cl, specs, o); err != nil {
		t.Fatal(err)
	}
}

func TestRecordsAndTopicsOutliveTheBroker(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kafka")
	b := start(t, broker.Config{Dir: dir})
	cl := client(t, b.Addr())
	createTopic(t, cl)
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "log", Value: []byte("kept")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("Close again = %v", err)
	}
	b = start(t, broker.Config{Dir: dir})
	ends, err := kafka.EndOffsets(t.Context(), client(t, b.Addr()), "log")
	if err != nil || ends[0] != 1 {
		t.Errorf("after a restart the topic ends at %v, %v; want 1", ends, err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory is open to others: %v %v", info.Mode(), err)
	}
}

func TestASecondBrokerOnTheDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	b := start(t, broker.Config{Dir: dir})
	_, err := broker.Start(t.Context(), broker.Config{Dir: dir, Addr: "127.0.0.1:0"}, silent)
	if !errors.Is(err, broker.ErrLocked) {
		t.Errorf("Start on a directory in use = %v, want %v", err, broker.ErrLocked)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, broker.Config{Dir: dir})
}

func TestAPortThatIsTakenIsSaidAndLeavesTheDirectoryFree(t *testing.T) {
	b := start(t, broker.Config{Dir: t.TempDir()})
	dir := t.TempDir()
	if _, err := broker.Start(t.Context(), broker.Config{Dir: dir, Addr: b.Addr()}, silent); err == nil {
		t.Fatal("two brokers on one port")
	}
	start(t, broker.Config{Dir: dir})
}

func TestOnlyLoopbackIsListenedOn(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:9092", ":9092", "192.0.2.1:9092", "kafka", "", "127.0.0.1", "127.0.0.1:kafka", "127.0.0.1:70000"} {
		_, err := broker.Start(t.Context(), broker.Config{Dir: t.TempDir(), Addr: addr}, silent)
		if !errors.Is(err, broker.ErrAddr) {
			t.Errorf("Start on %q = %v, want %v", addr, err, broker.ErrAddr)
		}
	}
}

func TestRunEndsWithItsContextAndLeavesTheDirectoryFree(t *testing.T) {
	dir := t.TempDir()
	b := start(t, broker.Config{Dir: dir})
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- b.Run(ctx) }()
	cancel()
	if err := <-ran; err != nil {
		t.Errorf("Run = %v", err)
	}
	start(t, broker.Config{Dir: dir})
}

func TestAWriteThatFailsStopsTheBroker(t *testing.T) {
	dir := t.TempDir()
	b := start(t, broker.Config{Dir: dir})
	ran := make(chan error, 1)
	go func() { ran <- b.Run(t.Context()) }()
	cl := client(t, b.Addr())
	createTopic(t, cl)
	// A file where the partition's directory is to be made: that fails, as a
	// write does on a disk that is full.
	if err := os.MkdirAll(filepath.Join(dir, "partitions"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "partitions", "log-0"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "log", Value: []byte("x")}).FirstErr(); err == nil {
		t.Error("a record that could not be written was acknowledged")
	}
	if err := <-ran; !errors.Is(err, broker.ErrDisk) {
		t.Errorf("Run = %v, want %v", err, broker.ErrDisk)
	}
}

func TestACloseThatCannotWriteSaysSo(t *testing.T) {
	dir := t.TempDir()
	b := start(t, broker.Config{Dir: dir})
	createTopic(t, client(t, b.Addr()))
	// A file where the directory was: nothing can be written into it.
	if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); !errors.Is(err, broker.ErrDisk) {
		t.Errorf("Close = %v, want %v", err, broker.ErrDisk)
	}
}
