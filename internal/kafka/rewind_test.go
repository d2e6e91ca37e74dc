package kafka_test

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
)

// Between the plan and its execution a member may come: the place at which he
// reads is his.
func TestAGroupThatSomebodyJoinedMeanwhileIsNotSetBack(t *testing.T) {
	c := kafkatest.New(t, kfake.SeedTopics(1, "events"))
	c.Produce(t, &kgo.Record{Topic: "events", Value: []byte("1")}, &kgo.Record{Topic: "events", Value: []byte("2")})
	member := kafka.NewMember()
	cl, err := kafka.NewConsumer(c.Config, "group", []string{"events"}, slog.New(slog.DiscardHandler), nil, member.Opts()...)
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Leave(cl)
	cl.PollRecords(t.Context(), 1)
	if err := member.Ready(); err != nil {
		t.Fatal(err)
	}
	err = kafka.Rewind(t.Context(), c.Client(t), "group", []kafka.Rewound{{Topic: "events", From: 2}})
	if !errors.Is(err, kafka.ErrMembers) {
		t.Errorf("Rewind = %v, want %v", err, kafka.ErrMembers)
	}
}
