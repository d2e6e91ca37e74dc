// Command docker runs the engines of the end-to-end tests as containers, for
// as long as its standard input is open, and breaks them on request.
//
// It promises that its one line of JSON comes once the engines answer, that
// each order is answered only once it is carried out, and that no container is
// left when its input ends. A program and a module of its own, so that the
// fifty modules that testcontainers-go brings are nobody else's.
//
// The caller chooses the ports. A broker has to know the address at which its
// clients see it before it starts, and a killed engine has to come back where
// it was; a port that Docker chooses is known too late for the one and is
// another one afterwards.
//
//	docker [-kafka PORT] [-clickhouse-http PORT -clickhouse-native PORT]
//	→ {"host":"127.0.0.1"}
//	← kafka kill        kill, start, freeze, thaw; of kafka or clickhouse
//	→ ok                or: error: what Docker said
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

// The images, as in deploy/compose.yaml.
const (
	kafkaImage      = "apache/kafka:4.4.0"
	clickhouseImage = "clickhouse/clickhouse-server:26.7"
)

// up is how long an engine may take from its container's start until it
// answers. The image is here by then: its way has no limit but the test's.
const up = 3 * time.Minute

func main() {
	kafka := flag.Int("kafka", 0, "run Apache Kafka at this port")
	http := flag.Int("clickhouse-http", 0, "run ClickHouse, its HTTP interface at this port")
	native := flag.Int("clickhouse-native", 0, "its native protocol at this one")
	flag.Parse()
	// An interrupt at the keyboard, or what ends a whole process group, reaches
	// the caller and this program at once. The caller's end then ends the input,
	// and the next answer finds nobody; neither may keep this program from
	// removing its containers.
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	if err := run(context.Background(), *kafka, *http, *native, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "docker:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kafkaPort, httpPort, nativePort int, in io.Reader, out io.Writer) (err error) {
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return err
	}
	defer func() { _ = provider.Close() }() // the process ends with it
	host, err := provider.DaemonHost(ctx)
	if err != nil {
		return err
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
	if err != nil {
		return err
	}
	door := found[0].Unmap() // an address that is looked up comes back as IPv6
	h := &house{docker: provider.Client(), ids: map[string]string{}}
	var running []testcontainers.Container
	defer func() {
		for _, c := range running {
			err = errors.Join(err, testcontainers.TerminateContainer(c))
		}
	}()
	if kafkaPort != 0 {
		c, err := startKafka(ctx, door, kafkaPort)
		running = append(running, c) // also one that did not get to its end
		if err != nil {
			return fmt.Errorf("%s: %w", kafkaImage, err)
		}
		h.ids["kafka"] = c.GetContainerID()
	}
	if httpPort != 0 {
		c, err := startClickHouse(ctx, door, httpPort, nativePort)
		running = append(running, c) // also one that did not get to its end
		if err != nil {
			return fmt.Errorf("%s: %w", clickhouseImage, err)
		}
		h.ids["clickhouse"] = c.GetContainerID()
	}
	if err := json.NewEncoder(out).Encode(map[string]string{"host": door.String()}); err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		answer := "ok"
		if err := h.obey(ctx, lines.Text()); err != nil {
			answer = "error: " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

// house is what runs, as Docker knows it.
type house struct {
	docker client.APIClient
	ids    map[string]string
}

func (h *house) obey(ctx context.Context, line string) error {
	engine, order, _ := strings.Cut(line, " ")
	id, ok := h.ids[engine]
	if !ok {
		return fmt.Errorf("%q does not run here", engine)
	}
	var err error
	switch order {
	case "kill":
		_, err = h.docker.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "KILL"})
	case "start":
		_, err = h.docker.ContainerStart(ctx, id, client.ContainerStartOptions{})
	case "freeze":
		_, err = h.docker.ContainerPause(ctx, id, client.ContainerPauseOptions{})
	case "thaw":
		_, err = h.docker.ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{})
	default:
		return fmt.Errorf("no such order: %q", order)
	}
	return err
}

func startKafka(ctx context.Context, door netip.Addr, port int) (testcontainers.Container, error) {
	return testcontainers.Run(ctx, kafkaImage,
		at(door, map[int]string{port: "9092/tcp"}),
		testcontainers.WithEnv(map[string]string{
			"KAFKA_NODE_ID":                                          "1",
			"KAFKA_PROCESS_ROLES":                                    "broker,controller",
			"KAFKA_CONTROLLER_QUORUM_VOTERS":                         "1@127.0.0.1:9093",
			"KAFKA_LISTENERS":                                        "CLIENT://0.0.0.0:9092,LOCAL://127.0.0.1:9094,CONTROLLER://127.0.0.1:9093",
			"KAFKA_ADVERTISED_LISTENERS":                             fmt.Sprintf("CLIENT://%s:%d,LOCAL://127.0.0.1:9094", door, port),
			"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP":                   "CLIENT:PLAINTEXT,LOCAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
			"KAFKA_INTER_BROKER_LISTENER_NAME":                       "LOCAL",
			"KAFKA_CONTROLLER_LISTENER_NAMES":                        "CONTROLLER",
			"KAFKA_AUTO_CREATE_TOPICS_ENABLE":                        "false",
			"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR":                 "1",
			"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR":         "1",
			"KAFKA_TRANSACTION_STATE_LOG_MIN_ISR":                    "1",
			"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
			"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR":            "1",
			"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS":                 "0",
			"KAFKA_LOG_CLEANER_BACKOFF_MS":                           "500",
			"KAFKA_HEAP_OPTS":                                        "-Xmx512m",
		}),
		testcontainers.WithWaitStrategyAndDeadline(up, wait.ForLog("Transitioning from RECOVERY to RUNNING").WithStartupTimeout(up)))
}

func startClickHouse(ctx context.Context, door netip.Addr, http, native int) (testcontainers.Container, error) {
	return testcontainers.Run(ctx, clickhouseImage,
		at(door, map[int]string{http: "8123/tcp", native: "9000/tcp"}),
		// Without a password the image's default user may come from its own
		// loopback only, and so not through a published port.
		testcontainers.WithEnv(map[string]string{
			"CLICKHOUSE_USER": "test", "CLICKHOUSE_PASSWORD": "test", "CLICKHOUSE_DB": "default", "CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT": "1",
		}),
		testcontainers.WithWaitStrategyAndDeadline(up, wait.ForHTTP("/ping").WithPort("8123/tcp").WithStartupTimeout(up)))
}

// at publishes ports of the container at ports of the address at which its
// daemon is reached, and at no other. That is loopback beside the daemon; in a
// container that has its socket, it is the gateway: loopback there is another.
func at(door netip.Addr, ports map[int]string) testcontainers.CustomizeRequestOption {
	return func(req *testcontainers.GenericContainerRequest) error {
		bindings := network.PortMap{}
		for outside, inside := range ports {
			port, err := network.ParsePort(inside)
			if err != nil {
				return err
			}
			bindings[port] = []network.PortBinding{{HostIP: door, HostPort: strconv.Itoa(outside)}}
			if err := testcontainers.WithExposedPorts(inside)(req); err != nil {
				return err
			}
		}
		return testcontainers.WithHostConfigModifier(func(c *container.HostConfig) { c.PortBindings = bindings })(req)
	}
}
