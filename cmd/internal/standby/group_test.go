package standby

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/schemas"
)

func TestTheGroupSaysWhoOwnsTheVaultAndWhereHeIsReached(t *testing.T) {
	cluster := kafkatest.New(t)
	topics := schemas.NewTopics(schemas.DefaultTopicPrefix)
	cluster.CreateTopics(t, topics, 3)
	admin := kadm.NewClient(cluster.Client(t))
	owner := func() (string, error) { return Owner(t.Context(), admin, "connect", topics.Vault) }
	if where, err := owner(); where != "" {
		t.Errorf("nobody is there: %q, %v", where, err)
	}
	assigned := make(chan struct{}, 1)
	member := cluster.Client(t, kgo.ConsumerGroup("connect"), kgo.ConsumeTopics(topics.Vault), Announce("http://10.0.0.7:8081"),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			if len(parts[topics.Vault]) > 0 {
				assigned <- struct{}{}
			}
		}))
	<-assigned
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for { // the group is stable a moment after its member knows
		where, err := owner()
		if where == "http://10.0.0.7:8081" && err == nil {
			break
		}
		if where != "" {
			t.Fatalf("%q, %v", where, err)
		}
		<-tick.C
	}
	if where, err := Owner(t.Context(), admin, "connect", topics.Mappings); where != "" || err != nil {
		t.Errorf("of a topic that nobody owns: %q, %v", where, err)
	}
	member.Close()
	mute := cluster.Client(t, kgo.ConsumerGroup("mute"), kgo.ConsumeTopics(topics.Vault), kgo.ClientID("connect"),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, _ map[string][]int32) { assigned <- struct{}{} }))
	defer mute.Close()
	<-assigned
	if where, err := Owner(t.Context(), admin, "mute", topics.Vault); where != "" || err != nil {
		t.Errorf("one who does not say where he is: %q, %v", where, err)
	}
}
