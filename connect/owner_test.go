package connect

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestOnlyACommitThatIsAnsweredForThePartitionProvesOwnership(t *testing.T) {
	answer := func(codes ...int16) *kmsg.OffsetCommitResponse {
		var topic kmsg.OffsetCommitResponseTopic
		for _, code := range codes {
			topic.Partitions = append(topic.Partitions, kmsg.OffsetCommitResponseTopicPartition{ErrorCode: code})
		}
		return &kmsg.OffsetCommitResponse{Topics: []kmsg.OffsetCommitResponseTopic{topic}}
	}
	if err := commitFailure(answer(0), nil); err != nil {
		t.Errorf("a good answer: %v", err)
	}
	for name, err := range map[string]error{
		"no answer":            commitFailure(nil, errors.New("gone")),
		"an empty answer":      commitFailure(&kmsg.OffsetCommitResponse{}, nil),
		"a topic without more": commitFailure(answer(), nil),
		"a refusal":            commitFailure(answer(kerr.IllegalGeneration.Code), nil),
		"a refusal among good": commitFailure(answer(0, kerr.UnknownMemberID.Code), nil),
	} {
		if !errors.Is(err, errDeposed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
