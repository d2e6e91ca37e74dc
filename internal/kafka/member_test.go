package kafka

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A commit for a partition that is somebody else's by now would take him back.
func TestWhatIsOwedOfAPartitionThatWasTakenAwayIsForgotten(t *testing.T) {
	m := NewMember()
	for _, number := range []int32{1, 2} {
		m.Settled(&kgo.Record{Topic: "log", Partition: number, Offset: 41})
	}
	m.take(map[string][]int32{"log": {1}})
	if _, owed := m.Again(); !owed || len(m.owed["log"]) != 1 || m.owed["log"][2].Offset != 42 {
		t.Errorf("owed: %v, want the offset after the record of partition 2", m.owed)
	}
	m.take(map[string][]int32{"log": {2}})
	if _, owed := m.Again(); owed {
		t.Errorf("owed: %v", m.owed)
	}
	if lost := m.TakeLost(); !slices.Equal(lost, []Partition{{"log", 1}, {"log", 2}}) || m.TakeLost() != nil {
		t.Errorf("lost: %v", lost)
	}
}
