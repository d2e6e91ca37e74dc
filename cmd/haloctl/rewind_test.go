package main

import (
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/schemas"
)

func TestTheSinkIsSetBackByTime(t *testing.T) {
	c, topics := kafkatest.New(t), schemas.NewTopics("halo.")
	c.CreateTopics(t, topics, 1)
	const group = "halo.sink"
	d := &desk{t: t, environ: []string{"KAFKA_BROKERS=" + strings.Join(c.Config.Brokers, ",")}, noTerminal: errors.New("no terminal")}
	patient := c.Client(t, kgo.RecordDeliveryTimeout(0)) // whose records may be hours old
	write := func(topic string, ago time.Duration, n int) {
		for range n {
			r := &kgo.Record{Topic: topic, Key: []byte("acme"), Value: []byte("{}"), Timestamp: time.Now().Add(-ago)}
			if err := patient.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(topics.Activities, 3*time.Hour, 4)
	write(topics.Activities, 30*time.Minute, 6)
	write(topics.Skipped, 3*time.Hour, 2)

	if errs := d.want(exitFailed, "rewind", "sink", "--by", "1h", "--yes"); !strings.Contains(errs, "has committed nothing") {
		t.Errorf("of a group that never read: %s", errs)
	}
	// The sink has appended all but two of the activities.
	adm := kadm.NewClient(c.Client(t))
	var appended kadm.Offsets
	appended.AddOffset(topics.Activities, 0, 8, -1)
	appended.AddOffset(topics.Skipped, 0, 2, -1)
	if err := adm.CommitAllOffsets(t.Context(), group, appended); err != nil {
		t.Fatal(err)
	}
	at := func(activities, skipped int64) {
		t.Helper()
		offsets, err := adm.FetchOffsets(t.Context(), group)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int64{}
		offsets.Each(func(o kadm.OffsetResponse) { got[o.Topic] = o.At })
		if want := map[string]int64{topics.Activities: activities, topics.Skipped: skipped}; !maps.Equal(got, want) {
			t.Errorf("the group is at %v, want %v", got, want)
		}
	}

	member := kafka.NewMember()
	sink, err := kafka.NewConsumer(c.Config, group, []string{topics.Activities, topics.Skipped}, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), member.Opts()...)
	if err != nil {
		t.Fatal(err)
	}
	sink.PollRecords(t.Context(), 1)
	if err := member.Ready(); err != nil {
		t.Fatalf("no member: this proves nothing: %v", err)
	}
	if errs := d.want(exitFailed, "rewind", "sink", "--by", "1h", "--yes"); !strings.Contains(errs, "group halo.sink has members: 1") {
		t.Errorf("with a sink running: %s", errs)
	}
	at(8, 2)
	kafka.Leave(sink)

	for _, wrong := range [][]string{{}, {"--by", "0"}, {"--by", "-1h"}, {"--by", "soon"}} {
		d.want(exitUsage, append([]string{"rewind", "sink", "--yes"}, wrong...)...)
	}
	if errs := d.want(exitUsage, "rewind", "sink", "--by", "1h"); !strings.Contains(errs, "4 records of 1 partitions") || !strings.Contains(errs, "--yes") {
		t.Errorf("without a terminal: %s", errs)
	}
	d.noTerminal, d.answer = nil, "no\n"
	if errs := d.want(exitFailed, "rewind", "sink", "--by", "1h"); !strings.Contains(errs, "nothing was done") {
		t.Errorf("not confirmed: %s", errs)
	}
	at(8, 2)

	d.answer = "yes\n"
	if out := d.want(exitOK, "rewind", "sink", "--by", "1h"); !strings.Contains(out, "appends 4 records again") {
		t.Errorf("confirmed: %s", out)
	}
	at(4, 2)
	if out := d.want(exitOK, "rewind", "sink", "--by", "1h"); !strings.Contains(out, "nothing to do") {
		t.Errorf("a second time: %s", out)
	}
	var said struct {
		Group      string
		Records    int64
		Partitions []kafka.Rewound
	}
	if err := json.Unmarshal([]byte(d.want(exitOK, "rewind", "sink", "--by", "1d", "--yes", "--json")), &said); err != nil {
		t.Fatal(err)
	}
	if said.Group != group || said.Records != 6 || len(said.Partitions) != 2 || said.Partitions[0] != (kafka.Rewound{Topic: topics.Activities, From: 4}) {
		t.Errorf("by a day: %+v", said)
	}
	at(0, 0)
	d.want(exitOK, "rewind", "sink", "--by", "1m", "--yes")
	at(0, 0) // never forward

	d.environ = []string{"KAFKA_BROKERS=127.0.0.1:1"}
	d.want(exitUnavailable, "rewind", "sink", "--by", "1h", "--yes", "--timeout", "1s")
}
