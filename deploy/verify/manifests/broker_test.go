package manifests

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/worksights/halo-connector/schemas"
)

// guarded is a broker that knows the principals of deploy/kafka/acls and grants
// what the file says.
type guarded struct {
	addr     string
	password map[string]string
}

// brokers returns such a broker: the cluster that VERIFY_KAFKA_BROKERS names, to
// which apply.sh was applied with the passwords in the file
// VERIFY_SCRAM_PASSWORDS, else one in this process.
func brokers(t *testing.T) guarded {
	t.Helper()
	if addr := os.Getenv("VERIFY_KAFKA_BROKERS"); addr != "" {
		b, err := os.ReadFile(os.Getenv("VERIFY_SCRAM_PASSWORDS"))
		if err != nil {
			t.Fatal(err)
		}
		g := guarded{addr, map[string]string{}}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			g.password[f[0]] = f[1]
		}
		return g
	}
	operations := map[string]kmsg.ACLOperation{
		"Read": kmsg.ACLOperationRead, "Write": kmsg.ACLOperationWrite, "Create": kmsg.ACLOperationCreate, "Alter": kmsg.ACLOperationAlter, "Describe": kmsg.ACLOperationDescribe,
		"DescribeConfigs": kmsg.ACLOperationDescribeConfigs, "AlterConfigs": kmsg.ACLOperationAlterConfigs,
	}
	acls := map[string][]kfake.ACL{}
	for _, r := range rights(t) {
		operation, ok := operations[r.operation]
		if !ok {
			t.Fatalf("%s is no operation that is known here", r.operation)
		}
		acl := kfake.ACL{Resource: kmsg.ACLResourceTypeGroup, Pattern: kmsg.ACLResourcePatternTypeLiteral, Name: r.name, Operation: operation, Allow: true}
		if name, ok := strings.CutPrefix(r.name, "."); ok {
			acl.Name = schemas.DefaultTopicPrefix + name
		}
		if r.kind == "topic" {
			acl.Resource, acl.Name = kmsg.ACLResourceTypeTopic, schemas.DefaultTopicPrefix+r.name
		}
		if r.name == "*" {
			acl.Pattern, acl.Name = kmsg.ACLResourcePatternTypePrefixed, schemas.DefaultTopicPrefix
		}
		acls[r.principal] = append(acls[r.principal], acl)
	}
	g := guarded{password: map[string]string{}}
	opts := []kfake.Opt{kfake.NumBrokers(1), kfake.Ports(0), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("SCRAM-SHA-512", "admin", "admin")}
	for principal, acl := range acls {
		g.password[principal] = "secret-" + principal
		opts = append(opts, kfake.User("SCRAM-SHA-512", principal, g.password[principal], acl...))
	}
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	g.addr = c.ListenAddrs()[0]
	return g
}

// env is what a program of the principal is told.
func (g guarded) env(principal string) []string {
	return []string{"KAFKA_BROKERS=" + g.addr, "KAFKA_SASL_MECHANISM=SCRAM-SHA-512", "KAFKA_SASL_USER=" + principal, "KAFKA_SASL_PASSWORD=" + g.password[principal]}
}

func (g guarded) client(t *testing.T, principal string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(g.addr),
		kgo.SASL(scram.Auth{User: principal, Pass: g.password[principal]}.AsSha512Mechanism()),
		kgo.RetryTimeout(2 * time.Second),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// denied says whether the broker refused principal the operation on the topic,
// and not something else went wrong.
func (g guarded) denied(t *testing.T, principal, operation, topic string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var err error
	switch operation {
	case "Write":
		err = g.client(t, principal).ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr()
	case "Read":
		// The embedded broker lets even him wait whom it refuses, while there is no record.
		cl := g.client(t, principal, kgo.FetchMaxWait(100*time.Millisecond), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
		err = cl.PollFetches(ctx).Err()
	}
	// A producer that may write nowhere is refused before it names a topic.
	refused := errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed)
	if err != nil && !refused {
		t.Errorf("%s, %s on %s: %v", principal, operation, topic, err)
	}
	return refused
}
