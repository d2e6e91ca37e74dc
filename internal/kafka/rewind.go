package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	// ErrMembers says that somebody reads in the group: the next commit of his
	// would undo what is set, and Kafka takes none from outside meanwhile.
	ErrMembers = errors.New("has members")
	// ErrNoOffsets says that the group has committed nothing of the topics: it
	// begins with their first records anyway, or it is called otherwise.
	ErrNoOffsets = errors.New("has committed nothing of these topics")
)

// Rewound is a partition that a group reads again, from the offset To on
// instead of From.
type Rewound struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
}

// PlanRewind finds from where the group has to begin to read again all records
// of the topics that were written at or after since and that it has read. It
// changes nothing. What Kafka holds no longer is not in it, nor is a partition
// of which the group has read nothing since then.
func PlanRewind(ctx context.Context, cl *kgo.Client, group string, topics []string, since time.Time) ([]Rewound, error) {
	adm := kadm.NewClient(cl)
	if err := empty(ctx, adm, group); err != nil {
		return nil, err
	}
	committed, err := adm.FetchOffsets(ctx, group)
	if err == nil {
		err = committed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("offsets of group %s: %w", group, err)
	}
	var plan []Rewound
	known := false
	for _, topic := range topics {
		first, err := listOffsets(ctx, cl, topic, func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
			return adm.ListOffsetsAfterMilli(ctx, since.UnixMilli(), topics...)
		})
		if err != nil {
			return nil, err
		}
		for partition, at := range committed[topic] {
			known = true
			if to, ok := first[partition]; ok && to < at.At {
				plan = append(plan, Rewound{topic, partition, at.At, to})
			}
		}
	}
	if !known {
		return nil, fmt.Errorf("group %s %w", group, ErrNoOffsets)
	}
	slices.SortFunc(plan, func(a, b Rewound) int {
		if a.Topic != b.Topic {
			return slices.Index(topics, a.Topic) - slices.Index(topics, b.Topic)
		}
		return int(a.Partition - b.Partition)
	})
	return plan, nil
}

// Rewind sets the group to where the plan says. Kafka refuses it once somebody
// reads in the group, which is then ErrMembers: nobody's place is moved under
// him, however late he came.
func Rewind(ctx context.Context, cl *kgo.Client, group string, plan []Rewound) error {
	offsets := make(kadm.Offsets)
	for _, r := range plan {
		offsets.AddOffset(r.Topic, r.Partition, r.To, -1)
	}
	set, err := kadm.NewClient(cl).CommitOffsets(ctx, group, offsets)
	if err == nil {
		err = set.Error()
	}
	switch {
	case errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.RebalanceInProgress):
		return fmt.Errorf("group %s %w", group, ErrMembers)
	case err != nil:
		return fmt.Errorf("set the offsets of group %s: %w", group, err)
	}
	return nil
}

// empty fails unless the group is there and nobody in it.
func empty(ctx context.Context, adm *kadm.Client, group string) error {
	described, err := adm.DescribeGroups(ctx, group)
	if err == nil {
		err = described.Error()
	}
	switch {
	case errors.Is(err, kerr.GroupIDNotFound): // Kafka from 4.0 on; those before call it dead
		return fmt.Errorf("group %s %w", group, ErrNoOffsets)
	case err != nil:
		return fmt.Errorf("members of group %s: %w", group, err)
	}
	if n := len(described[group].Members); n > 0 {
		return fmt.Errorf("group %s %w: %d", group, ErrMembers, n)
	}
	return nil
}
