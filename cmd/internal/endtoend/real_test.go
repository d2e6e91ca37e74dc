//go:build integration

package endtoend

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/sync/errgroup"

	kafkalocal "github.com/worksights/halo-connector/deploy/kafka-local"
)

// Where real engines may be named; http or https for ClickHouse, since the
// tests ask it too. The second DSN is clickhouse://, the same server by its
// native protocol, for the sink; it may be absent.
const (
	kafkaEnv      = "HALO_TEST_KAFKA_BROKERS"
	clickhouseEnv = "HALO_TEST_CLICKHOUSE_DSN"
	nativeEnv     = "HALO_TEST_CLICKHOUSE_NATIVE_DSN"
)

// source is where an engine comes from.
type source string

const (
	given    source = "named in the environment"
	docker   source = "a container"
	jars     source = "from Maven jars, on loopback"
	embedded source = "embedded"
)

// choice is which engines the tests run on: the first of each list that this
// machine offers.
type choice struct {
	kafka, clickhouse source
	absent            []string // what is not to be had, and why
}

var chosen = sync.OnceValue(func() choice {
	c := choice{kafka: given, clickhouse: given}
	named := os.Getenv(kafkaEnv) != "" && os.Getenv(clickhouseEnv) != ""
	var noDocker error
	if !named {
		if noDocker = dockerAnswers(context.Background()); noDocker != nil {
			c.absent = append(c.absent, fmt.Sprintf("no Docker: %v", noDocker))
		}
	}
	if os.Getenv(kafkaEnv) == "" {
		c.kafka = docker
		if noDocker != nil {
			c.kafka = jars
			if err := kafkalocal.Present(context.Background()); err != nil {
				c.kafka = embedded
				c.absent = append(c.absent, err.Error())
			}
		}
	}
	if os.Getenv(clickhouseEnv) == "" {
		c.clickhouse = docker
		if noDocker != nil {
			c.clickhouse = embedded
		}
	}
	return c
})

// severalBrokers is the choice for a test that breaks one broker of several.
// There is one container; the jars give as many brokers as are asked for.
func (c choice) severalBrokers() choice {
	if c.kafka == docker && kafkalocal.Present(context.Background()) == nil {
		c.kafka = jars
	}
	return c
}

func underTest() string {
	c := chosen()
	s := fmt.Sprintf("engines under test: Kafka: %s; ClickHouse: %s", c.kafka, c.clickhouse)
	for _, why := range c.absent {
		s += "\n  absent: " + why
	}
	return s
}

// startEngines starts the engines that were chosen, and prepares them as an
// operator does.
func (s *stack) startEngines(brokers int) {
	s.t.Helper()
	c := chosen()
	if brokers > 1 {
		c = c.severalBrokers()
	}
	if c.kafka == given || c.clickhouse == given {
		// Others may be there too, our own last run among them.
		name := "test_" + strings.ToLower(rand.Text()[:10])
		s.prefix, s.database = name+".", name
	}
	fromDocker := s.startContainers(c.kafka == docker, c.clickhouse == docker)
	switch c.kafka {
	case given:
		s.brokers = os.Getenv(kafkaEnv)
		s.t.Cleanup(s.removeTopics)
	case docker:
		s.brokers, s.kafka = fromDocker.brokers, container{s, fromDocker, "kafka"}
	case jars:
		s.startBrokers(brokers)
	case embedded:
		s.startEmbedded()
	}
	switch c.clickhouse {
	case given:
		u, err := url.Parse(os.Getenv(clickhouseEnv))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" {
			s.t.Fatalf("%s: want http(s)://[user:password@]host:port", clickhouseEnv) // not its text: it may hold a password
		}
		s.clickhouseAt = *u
		if native := os.Getenv(nativeEnv); native != "" {
			n, err := url.Parse(native)
			if err != nil {
				s.t.Fatalf("%s: not a URL", nativeEnv)
			}
			n.Path = "/" + s.database
			s.native = n.String()
		}
		s.clickhouse = nil
		s.t.Cleanup(s.removeDatabases)
	case docker:
		s.clickhouseAt, s.native = fromDocker.clickhouse, fromDocker.native
		s.clickhouse = container{s, fromDocker, "clickhouse"}
	case embedded:
		if c.kafka != embedded {
			s.startClickHouse()
		}
	}
	s.prepare(c)
	s.name(c)
}

// prepare makes what must exist before a stage starts.
func (s *stack) prepare(c choice) {
	s.t.Helper()
	env := []string{"KAFKA_BROKERS=" + s.brokers, "TOPIC_PREFIX=" + s.prefix, "CLICKHOUSE_DSN=" + s.dsn(s.database)}
	s.haloctl(env, "migrate")
	if c.kafka == embedded {
		return // bin/local has made its topics, which are not compacted, and the token
	}
	s.haloctl(env, "topics", "apply")
	if s.rights != nil {
		s.grant()
	}
	s.haloctl(nil, "keys", "new", filepath.Join(s.data, "keyset.json"))
	s.token = s.haloctl(nil, "tokens", "new", "--name", "test", filepath.Join(s.data, "api-tokens"))
}

// name says in the test's output what it really ran on.
func (s *stack) name(c choice) {
	s.t.Helper()
	cl := s.kafkaClient()
	defer cl.Close()
	versions, err := kadm.NewClient(cl).ApiVersions(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	guess := ""
	for _, v := range versions.Sorted() {
		guess = v.VersionGuess()
	}
	version, err := s.trySQL("default", "SELECT version()")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Logf("Kafka %s (%s, %d brokers), ClickHouse %s (%s)", guess, c.kafka, strings.Count(s.brokers, ",")+1, version[0], c.clickhouse)
}

func (s *stack) removeTopics() {
	cl := s.kafkaClient()
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	adm := kadm.NewClient(cl)
	details, err := adm.ListTopics(ctx)
	if err != nil {
		s.t.Errorf("removing the test's topics: %v", err)
		return
	}
	for _, topic := range details.Names() {
		if strings.HasPrefix(topic, s.prefix) {
			if _, err := adm.DeleteTopic(ctx, topic); err != nil {
				s.t.Errorf("removing the test's topic %s: %v", topic, err)
			}
		}
	}
}

func (s *stack) removeDatabases() {
	for _, database := range []string{s.database, s.database + "_again"} {
		if _, err := s.trySQL("default", "DROP DATABASE IF EXISTS "+database+" SYNC"); err != nil {
			s.t.Errorf("removing the test's database: %v", err)
		}
	}
}

// brokers are real brokers of our own.
type brokers struct {
	*kafkalocal.Cluster
	t     testing.TB
	nodes int
}

func (s *stack) startBrokers(nodes int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Minute)
	defer cancel()
	cluster, err := kafkalocal.Start(ctx, nodes, filepath.Join(s.dir, "kafka"), s.properties...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			s.t.Error(err)
		}
	})
	s.brokers = strings.Join(cluster.Brokers(), ",")
	s.kafka = &brokers{cluster, s.t, nodes}
}

// each does it to every node.
func (b *brokers) each(do func(node int) error) {
	b.t.Helper()
	var errs []error
	for node := range b.nodes {
		errs = append(errs, do(node))
	}
	if err := errors.Join(errs...); err != nil {
		b.t.Error(err)
	}
}

func (b *brokers) kill()   { b.each(b.Kill) }
func (b *brokers) freeze() { b.each(b.Freeze) }
func (b *brokers) thaw()   { b.each(b.Thaw) }
func (b *brokers) ready()  {} // it was, when start returned

// start starts all at once: one alone would wait for a quorum in vain.
func (b *brokers) start() {
	b.t.Helper()
	var all errgroup.Group
	for node := range b.nodes {
		all.Go(func() error { return b.restart(node) })
	}
	if err := all.Wait(); err != nil {
		b.t.Error(err)
	}
}

func (b *brokers) restart(node int) error {
	// Of a busy machine's three JVMs each may take a minute; nothing is judged by it.
	ctx, cancel := context.WithTimeout(b.t.Context(), 3*time.Minute)
	defer cancel()
	return b.Restart(ctx, node)
}

// startClickHouse starts the embedded ClickHouse alone, for a Kafka that is
// not embedded.
func (s *stack) startClickHouse() {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	s.clickhouseAt = url.URL{Scheme: "http", Host: s.addr(8123)}
	p := s.process("clickhouse", 0, nil, []string{clickhouseMark + "=" + s.addr(8123)})
	p.path, p.health = self, "http://"+s.addr(8123)+"/ping"
	p.start()
	p.ready()
	s.clickhouse = clickhouseChild{s, p}
}
