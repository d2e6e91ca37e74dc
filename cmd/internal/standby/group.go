package standby

import (
	"context"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// mark stands in a client's id before where its instance is reached.
const mark = "connect@"

// Announce is the option by which the members of the group say where they are
// reached: in the id that every client of Kafka gives anyway. So the answer to
// "who acts, and where?" is one answer, of the one who decides it, and there is
// no second record that could say otherwise.
func Announce(self string) kgo.Opt { return kgo.ClientID(mark + self) }

// Owner returns where the member of group that owns topic is reached; "" where
// nobody owns it, or somebody who does not say.
func Owner(ctx context.Context, admin *kadm.Client, group, topic string) (string, error) {
	described, err := admin.DescribeGroups(ctx, group)
	if err != nil {
		return "", err
	}
	g, err := described.On(group, nil)
	if err != nil {
		return "", err
	}
	if g.Err != nil {
		return "", g.Err
	}
	for _, m := range g.Members {
		assigned, ok := m.Assigned.AsConsumer()
		if !ok {
			continue
		}
		for _, t := range assigned.Topics {
			if t.Topic == topic && len(t.Partitions) > 0 {
				where, _ := strings.CutPrefix(m.ClientID, mark)
				if where == m.ClientID {
					return "", nil
				}
				return where, nil
			}
		}
	}
	return "", nil
}
