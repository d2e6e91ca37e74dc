package processor

import (
	"fmt"
	"os"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/schemas"
)

func TestMain(m *testing.M) {
	kafkatest.Broker(func(what string) []*kgo.Record {
		var agents, events int
		if _, err := fmt.Sscanf(what, "%d agents, %d events", &agents, &events); err != nil {
			panic(err)
		}
		records, mappings := lifelike(agents, events)
		for key, m := range mappings {
			records = append(records, kafka.Record(schemas.NewTopics("halo.").Mappings, key, schemas.MappingSchema, m.AppendJSON(nil)))
		}
		return records
	})
	os.Exit(m.Run())
}

// filledBroker is a broker in a process of its own that ends with b.
func filledBroker(b *testing.B, agents, events int) kafka.Config {
	b.Helper()
	return kafkatest.Apart(b, fmt.Sprintf("%d agents, %d events", agents, events))
}
