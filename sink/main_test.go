package sink_test

import (
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/clickhousetest"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/schemas"
)

func TestMain(m *testing.M) {
	kafkatest.Broker(func(what string) []*kgo.Record {
		n, err := strconv.Atoi(what)
		if err != nil {
			panic(err)
		}
		return lifelike(schemas.NewTopics("halo."), n)
	})
	clickhousetest.Main(m)
}
