package processor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/schemas"
)

// brokerMark makes the test binary a broker with so many agents and events, so
// that a benchmark measures a stage's process and not Kafka's beside it.
const brokerMark = "PROCESSOR_TEST_BROKER"

func TestMain(m *testing.M) {
	if amount := os.Getenv(brokerMark); amount != "" {
		if err := beBroker(amount); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// beBroker prints its address once the topics are filled, and ends with its
// standard input.
func beBroker(amount string) error {
	agents, events, _ := strings.Cut(amount, "/")
	nAgents, err := strconv.Atoi(agents)
	if err != nil {
		return err
	}
	nEvents, err := strconv.Atoi(events)
	if err != nil {
		return err
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		return err
	}
	defer cluster.Close()
	cl, err := kafka.NewProducer(kafka.Config{Brokers: cluster.ListenAddrs()}, slog.New(slog.DiscardHandler), nil, kgo.MaxBufferedRecords(nAgents+nEvents+1))
	if err != nil {
		return err
	}
	ctx, topics := context.Background(), schemas.NewTopics("halo.")
	if err := kafka.EnsureTopics(ctx, cl, topics.Specs(), kafka.TopicOptions{NoCompaction: true}); err != nil {
		return err
	}
	records, mappings := lifelike(nAgents, nEvents)
	for key, m := range mappings {
		records = append(records, kafka.Record(topics.Mappings, key, schemas.MappingSchema, m.AppendJSON(nil)))
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return err
	}
	cl.Close()
	fmt.Println(cluster.ListenAddrs()[0])
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// filledBroker is a broker in a process of its own that ends with b.
func filledBroker(b *testing.B, agents, events int) kafka.Config {
	b.Helper()
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), exe)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d/%d", brokerMark, agents, events))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || strings.HasPrefix(addr, "error") {
		b.Fatalf("the broker said %q: %v", addr, err)
	}
	return kafka.Config{Brokers: []string{strings.TrimSpace(addr)}}
}
