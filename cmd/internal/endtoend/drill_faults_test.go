//go:build drill

package endtoend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"

	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// outage causes what the alerts are for. Every tenant has one thing that
// happens to it, but for the busy one, whose traffic shows what a fault does.
type outage struct {
	*stack
	disk string
	kcl  *kgo.Client

	busy, off, refused, quiet *tenant
	load                      *traffic // of the busy one; begins after the phases are known
}

func newOutage(s *stack, disk string) *outage {
	s.t.Helper()
	o := &outage{stack: s, disk: disk, kcl: s.kafkaClient(kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))}
	s.t.Cleanup(o.kcl.Close)
	o.busy, o.off, o.refused, o.quiet = s.connected("busy", 10), s.connected("off", 2), s.connected("refused", 2), s.connected("quiet", 2)
	return o
}

// phases are all faults, in an order in which one does not hide the other.
func (o *outage) phases() []phase {
	return []phase{
		{{
			fault: "Kafka is away",
			cause: o.kafka.kill,
			heal:  func() { o.kafka.start(); o.kafka.ready() },
			during: []string{
				"HaloAvailabilityBurnFast", "HaloAvailabilityBurnSlow", "HaloKafkaTrouble", "HaloNotReady", "HaloStageNotReady",
			},
		}},
		{{
			fault:  "ClickHouse has no table",
			cause:  func() { o.sql("RENAME TABLE outcomes_log TO outcomes_away") },
			heal:   func() { o.sql("RENAME TABLE outcomes_away TO outcomes_log") },
			during: []string{"HaloClickHouseTrouble", "HaloLag", "HaloStuck"},
			after:  []string{"HaloFreshnessBurnFast", "HaloFreshnessBurnSlow"},
		}},
		{o.timelinesOfAHangingStore()},
		{{
			fault:  "events are deleted from Kafka before the processor comes to them",
			cause:  o.deleteUnread,
			heal:   func() {},
			during: []string{"HaloKept", "HaloBalance"},
		}},
		{{
			fault:  "the processor is gone",
			cause:  o.processor.kill,
			heal:   func() { o.processor.start(); o.processor.ready() },
			during: []string{"HaloStageDown", "HaloStageMissing"},
		}},
		{
			{fault: "a record on the topic of events is no event", cause: o.writeGarbage, heal: func() {}, during: []string{"HaloDeadLetters"}},
			{fault: "an event has a member of somebody else's", cause: o.writeContent, heal: func() {}, during: []string{"HaloContentFree"}},
			{fault: "an event comes under another tenant's key", cause: o.writeForeign, heal: func() {}, during: []string{"HaloApart"}},
			{fault: "an activity comes again with another time", cause: o.writeMoved, heal: func() {}, during: []string{"HaloRepeatable"}},
			{fault: "a mapping is dated back", cause: o.dateBack, heal: func() {}, during: []string{"HaloAsOfArrival"}},
			{fault: "a mapping does not parse", cause: o.spoilMapping, heal: o.repairMapping, during: []string{"HaloBadTableRecord"}},
		},
		{
			o.repeated("somebody guesses secrets", "HaloGuesses", o.guess),
			o.repeated("bodies are cut off on their way", "HaloDeliveriesRefused", o.sendHalf),
			o.repeated("Halo sends events of no known kind", "HaloRefusedEvents", o.sendUnknown),
			o.flooded(),
			{
				fault:  "a webhook is switched off in Halo",
				cause:  func() { o.off.switchWebhook(true) },
				heal:   func() { o.off.switchWebhook(false) },
				during: []string{"HaloWebhookInactive"},
			},
			{
				fault:  "a client secret is changed in Halo",
				cause:  func() { o.refused.sim.RotateSecret("another"); o.refused.sim.ExpireTokens() },
				heal:   func() { o.refused.sim.RotateSecret("secret-refused") },
				during: []string{"HaloConnectionRefused", "HaloChecksStale"},
			},
			{
				fault:  "nothing comes from a tenant that was never quiet for long",
				cause:  o.hadTraffic,
				heal:   func() { o.send(o.quiet, 1) },
				during: []string{"HaloConnectionSilent"},
			},
			{
				fault:  "the disk is nearly full",
				cause:  o.fillDisk,
				heal:   func() { o.no(os.Remove(o.filler())) },
				during: []string{"HaloDiskFloor"},
			},
		},
		{{
			fault:  "a topic is deleted and made again",
			cause:  o.deleteDead,
			heal:   func() { o.haloctl(o.env, "topics", "apply") },
			during: []string{"HaloTopicFault"},
			after:  []string{"HaloTopicReplaced"},
		}},
		{{
			fault:  "the tokens file has a bad line",
			cause:  func() { o.no(appendTo(o.tokens(), "not a token\n")) },
			heal:   o.mendTokens,
			during: []string{"HaloFileStale"},
		}},
		{{
			fault:  "Halo cannot reach us",
			cause:  func() { o.load.held.Store(true) },
			heal:   func() { o.load.held.Store(false) },
			during: []string{"HaloNothingArrives"},
		}},
		{{
			fault:  "connect is gone",
			cause:  o.connect.kill,
			heal:   func() { o.connect.start(); o.connect.ready() },
			during: []string{"HaloNoActiveConnect"},
		}},
		{{
			fault:  "connect has a keyset that was made anew",
			cause:  o.loseKeyset,
			heal:   o.restoreKeyset,
			during: []string{"HaloVaultSealed"},
		}},
	}
}

// no is for what cannot fail.
func (o *outage) no(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *outage) topic(name string) string { return o.prefix + name }

func (o *outage) produce(records ...*kgo.Record) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), 10*time.Second)
	defer cancel()
	o.no(o.kcl.ProduceSync(ctx, records...).FirstErr())
}

// last is the last record of a topic of which want holds.
func (o *outage) last(topic string, want func(*kgo.Record) bool) *kgo.Record {
	o.t.Helper()
	var found *kgo.Record
	for _, r := range o.records(o.topic(topic)) {
		if want(r) {
			found = r
		}
	}
	if found == nil {
		o.t.Fatalf("no such record on %s", topic)
	}
	return found
}

// again is a copy of a record as the same producer would write it.
func again(r *kgo.Record, value []byte) *kgo.Record {
	return &kgo.Record{Topic: r.Topic, Key: r.Key, Value: value, Headers: r.Headers}
}

// deleteUnread freezes the processor, and deletes what was written since.
func (o *outage) deleteUnread() {
	o.t.Helper()
	o.processor.freeze()
	pause(o.t, 15*time.Second)
	ctx, cancel := context.WithTimeout(o.t.Context(), 10*time.Second)
	defer cancel()
	adm := kadm.NewClient(o.kcl)
	ends, err := adm.ListEndOffsets(ctx, o.topic("events"))
	o.no(err)
	deleted, err := adm.DeleteRecords(ctx, ends.Offsets())
	o.no(err)
	o.no(deleted.Error())
	o.processor.thaw()
}

// deleteDead deletes the one topic of which no answer depends.
func (o *outage) deleteDead() {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), 10*time.Second)
	defer cancel()
	_, err := kadm.NewClient(o.kcl).DeleteTopic(ctx, o.topic("dead"))
	o.no(err)
}

func (o *outage) tokens() string { return filepath.Join(o.data, "api-tokens") }

func (o *outage) mendTokens() {
	o.t.Helper()
	b, err := os.ReadFile(o.tokens())
	o.no(err)
	o.no(os.WriteFile(o.tokens(), bytes.TrimSuffix(b, []byte("not a token\n")), 0o600))
}

func appendTo(path, line string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	return errors.Join(err, f.Close())
}

// event is the last one of the busy tenant as the edge wrote it.
func (o *outage) event() *kgo.Record {
	o.t.Helper()
	return o.last("events", func(r *kgo.Record) bool {
		e, err := schemas.ParseEvent(r.Value)
		return err == nil && bytes.Equal(e.AppendJSON(nil), r.Value) && string(e.Tenant) == string(r.Key) && e.Tenant == o.busy.id
	})
}

func (o *outage) writeGarbage() {
	o.produce(again(o.event(), []byte("not an event")))
}

func (o *outage) writeContent() {
	r := o.event()
	o.produce(again(r, append(bytes.TrimSuffix(r.Value, []byte("}")), `,"summary":"Printer on fire"}`...)))
}

func (o *outage) writeForeign() {
	r := o.event()
	foreign := again(r, r.Value)
	foreign.Key = []byte(o.quiet.id)
	o.produce(foreign)
}

func (o *outage) writeMoved() {
	r := o.last("activities", func(*kgo.Record) bool { return true })
	a, err := schemas.ParseActivity(r.Value)
	o.no(err)
	a.EventTime = a.EventTime.Add(time.Second)
	o.produce(again(r, a.AppendJSON(nil)))
}

// dateBack writes that an agent, one of whose events was just skipped, had a
// user all the while. The processor notices it by what it has judged itself, and
// it may have been started a moment ago.
func (o *outage) dateBack() {
	o.t.Helper()
	const agent = 11
	d := o.busy.statusChange(1_000_000, agent)
	if status, answer := o.busy.post(o.t.Context(), d.body); status != 200 {
		o.t.Fatalf("%d %s", status, answer)
	}
	await(o.t, time.Minute, "an event of the agent is skipped", func() error {
		if n := o.sql(fmt.Sprintf("SELECT count() FROM skipped WHERE tenant_id = '%s' AND event_id = '%s'", o.busy.id, d.id)); n[0] != "1" {
			return fmt.Errorf("%s rows", n[0])
		}
		return nil
	})
	m := schemas.Mapping{Tenant: o.busy.id, Agent: agent}.Assign("user-11", time.Now().Add(-time.Hour), "")
	r := again(o.mapping(), m.AppendJSON(nil))
	r.Key = []byte(m.Key())
	o.produce(r)
}

// mapping is that of an agent of a tenant with little traffic, as connect wrote
// it.
func (o *outage) mapping() *kgo.Record {
	o.t.Helper()
	key := schemas.Mapping{Tenant: o.off.id, Agent: 10}.Key()
	return o.last("mappings", func(r *kgo.Record) bool {
		_, err := schemas.ParseMapping(r.Value)
		return err == nil && string(r.Key) == key
	})
}

func (o *outage) spoilMapping() {
	r := o.mapping()
	o.produce(again(r, []byte("{ not a mapping")))
}

func (o *outage) repairMapping() {
	r := o.mapping()
	o.produce(again(r, r.Value))
}

// repeated is a fault that goes on in steps until it is healed.
func (o *outage) repeated(fault, alert string, step func(n int)) drill {
	ctx, end := context.WithCancel(o.t.Context())
	var steps sync.WaitGroup
	return drill{
		fault: fault, during: []string{alert},
		cause: func() {
			steps.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					step(n)
					pause(o.t, 300*time.Millisecond)
				}
			})
		},
		heal: func() { end(); steps.Wait() },
	}
}

func (o *outage) guess(n int) {
	stranger := *o.off
	stranger.webhook.Password = schemas.Secret(fmt.Sprintf("guess-%d", n))
	if a := stranger.deliver(o.t.Context(), []byte(`{}`)); a.status != 401 && o.t.Context().Err() == nil {
		o.t.Errorf("a guess was answered %d, %v", a.status, a.err)
	}
}

func (o *outage) sendHalf(int) {
	if status, answer := o.busy.post(o.t.Context(), []byte(`{"event":"Ticket`)); status != 400 && o.t.Context().Err() == nil {
		o.t.Errorf("half a body was answered %d %s", status, answer)
	}
}

// sendUnknown sends a batch of thirty events of a kind that is not ours.
func (o *outage) sendUnknown(n int) {
	items := make([][]byte, 30)
	for i := range items {
		items[i] = fmt.Appendf(nil, `{"id":"a-%d-%d","event":"Ticket Snoozed","object_id":%d,"ticket":{"id":%d}}`, n, i, 1+i, 1+i)
	}
	body := append(append([]byte("["), bytes.Join(items, []byte(","))...), ']')
	if status, answer := o.busy.post(o.t.Context(), body); status != 200 && o.t.Context().Err() == nil {
		o.t.Errorf("events of an unknown kind were answered %d %s", status, answer)
	}
}

// flooded is a tenant that sends, once, what it may send in ten seconds, and then
// goes on as before: until its debt is paid it is refused. An edge remembers for an
// hour, whatever the scale of the drill, or until it ends.
func (o *outage) flooded() drill {
	d := o.repeated("a tenant sends far more than it may", "HaloThrottled", func(n int) {
		items := make([][]byte, 1)
		if n == 0 {
			items = make([][]byte, 10*drillRate)
		}
		for i := range items {
			items[i] = fmt.Appendf(nil, `{"id":"f-%d-%d","event":"Ticket Snoozed","object_id":1,"ticket":{"id":1}}`, n, i)
		}
		body := append(append([]byte("["), bytes.Join(items, []byte(","))...), ']')
		if status, answer := o.off.post(o.t.Context(), body); status != 200 && status != 429 && o.t.Context().Err() == nil {
			o.t.Errorf("a flood was answered %d %s", status, answer)
		}
	})
	stop := d.heal
	d.heal = func() { stop(); o.ingest.kill(); o.ingest.start(); o.ingest.ready() }
	return d
}

// timelinesOfAHangingStore has a dozen people look at a timeline, one a second,
// while ClickHouse is there and answers nobody: they wait, and are told that we
// cannot.
func (o *outage) timelinesOfAHangingStore() drill {
	ctx, end := context.WithCancel(o.t.Context())
	var people sync.WaitGroup
	return drill{
		fault: "ClickHouse hangs, and timelines are asked for",
		cause: func() {
			o.clickhouse.freeze()
			for range 12 {
				people.Go(func() {
					for ctx.Err() == nil {
						_, _, _ = o.tryAPI(ctx, "GET", o.busy.path("/timeline?user=user-10"), nil) // that it fails is the point
					}
				})
				pause(o.t, time.Second)
			}
		},
		heal: func() { end(); people.Wait(); o.clickhouse.thaw() },
		during: []string{
			"HaloControlUnavailableBurnFast", "HaloControlUnavailableBurnSlow", "HaloControlLateBurnFast", "HaloControlLateBurnSlow",
		},
	}
}

func (tn *tenant) switchWebhook(off bool) {
	tn.sim.ChangeWebhook(tn.webhook.ID, func(w *halotest.Webhook) { w.Disabled = off })
}

// hadTraffic gives a tenant a past: something every hour for nine days, up to
// ten hours ago.
func (o *outage) hadTraffic() {
	o.sql(fmt.Sprintf(`INSERT INTO outcomes_log (tenant_id, event_time, activity_id, version, reason, kind, ticket_id, occurred_at, received_at)
		SELECT '%s', at, generateUUIDv4(), 1, 'unassigned', 'ticket_logged', 1, at, at FROM (SELECT now64(3) - toIntervalHour(10 + number) AS at FROM numbers(216))`, o.quiet.id))
}

func (o *outage) send(tn *tenant, n int) {
	o.t.Helper()
	if status, answer := tn.post(o.t.Context(), tn.statusChange(n, 10).body); status != 200 {
		o.t.Fatalf("%d %s", status, answer)
	}
}

// smallDisk makes dir a disk of its own, of two gigabytes in memory, so that it
// can be filled.
func smallDisk(t *testing.T, dir string) string {
	t.Helper()
	if err := unix.Mount("drill", dir, "tmpfs", 0, "size=2g,mode=0700"); err != nil {
		t.Fatalf("the drill mounts a small disk in order to fill it, and needs root for that: %v", err)
	}
	t.Cleanup(func() {
		// At once where it can be, else when the last process has left it: a
		// killed engine's child takes a moment to notice.
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmounting the small disk: %v", err)
		}
	})
	return dir
}

func (o *outage) filler() string { return filepath.Join(o.disk, "filler") }

// fillDisk leaves a sixth more than the floor of half a gigabyte: the alert
// comes before the broker refuses.
func (o *outage) fillDisk() {
	o.t.Helper()
	var s unix.Statfs_t
	o.no(unix.Statfs(o.disk, &s))
	f, err := os.Create(o.filler())
	o.no(err)
	defer f.Close()
	o.no(unix.Fallocate(int(f.Fd()), 0, 0, int64(s.Bavail)*s.Bsize-600<<20))
}

func (o *outage) keyset() (file, aside string) {
	return filepath.Join(o.data, "keyset.json"), filepath.Join(o.data, "keyset.aside.json")
}

func (o *outage) loseKeyset() {
	file, aside := o.keyset()
	o.connect.stop()
	o.no(os.Rename(file, aside))
	o.haloctl(nil, "keys", "new", file)
	o.connect.start()
	o.connect.ready()
}

func (o *outage) restoreKeyset() {
	file, aside := o.keyset()
	o.connect.stop()
	o.no(os.Rename(aside, file))
	o.connect.start()
	o.connect.ready()
}
