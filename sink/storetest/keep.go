package storetest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/sink"
)

func keepsRows(t *testing.T, s *subject) {
	rows := outcomes(1000)
	s.append(t, rows[:700]...)
	s.append(t, rows[700:]...)
	s.want(t, rows...)
}

func keepsExtremes(t *testing.T, s *subject) {
	var rows []sink.Outcome
	activity := func(change func(*schemas.Activity)) {
		a := Activity(len(rows))
		change(&a)
		rows = append(rows, sink.OfActivity(a))
	}
	skip := func(change func(*schemas.Skip)) {
		k := Skip(len(rows))
		change(&k)
		rows = append(rows, sink.OfSkip(k))
	}

	// A number that passed through a float is caught above 2^53.
	for _, n := range []uint64{0, 1, 1<<53 - 1, 1<<53 + 1, math.MaxInt64, 1 << 63, math.MaxUint64} {
		activity(func(a *schemas.Activity) { a.Ticket, a.Agent = n, schemas.AgentID(n) })
		skip(func(k *schemas.Skip) { k.Ticket, k.Agent = n, schemas.AgentID(n) })
	}
	for _, n := range []int32{math.MinInt32, -1, 0, math.MaxInt32} {
		activity(func(a *schemas.Activity) { a.Status = n })
	}
	for _, w := range []float32{math.SmallestNonzeroFloat32, .1, .25, math.Nextafter32(1, 0), 1} {
		activity(func(a *schemas.Activity) { a.Weight = w })
	}
	for _, u := range []schemas.UserID{
		"1", "Zoë Müller", "用户-17", "😀‍🚒", "us\"er\\é", "it's", "tab\there", "line\nbreak", "nul\x00byte", "trailing ", " ", `\N`, "NULL", "\ufffd",
		schemas.UserID(strings.Repeat("u", 200)), schemas.UserID(strings.Repeat("é", 300_000)),
	} {
		activity(func(a *schemas.Activity) { a.User = u })
	}
	for _, tenant := range []schemas.Tenant{"a", "0", "0_-", schemas.Tenant(strings.Repeat("z", 63))} {
		activity(func(a *schemas.Activity) { a.Tenant = tenant })
		skip(func(k *schemas.Skip) { k.Tenant = tenant })
	}
	for _, at := range []time.Time{
		{}, // the year 1
		time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC),
		time.Date(1899, 12, 31, 23, 59, 59, 999e6, time.UTC),
		time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC),
		time.UnixMilli(-1).UTC(),
		schemas.Epoch,
		time.UnixMilli(1).UTC(),
		time.Date(2019, 12, 31, 23, 59, 59, 999e6, time.UTC),
		time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2024, 2, 29, 23, 59, 59, 999e6, time.UTC),
		time.Date(2043, 12, 31, 23, 59, 59, 999e6, time.UTC),
		time.Date(2044, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2106, 2, 7, 6, 28, 16, 0, time.UTC), // beyond DateTime
		time.Date(2261, 12, 31, 23, 59, 59, 999e6, time.UTC),
		time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2299, 12, 31, 23, 59, 59, 999e6, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC),
	} {
		activity(func(a *schemas.Activity) { a.EventTime = at })
		activity(func(a *schemas.Activity) { a.EventTime, a.OccurredAt, a.ReceivedAt = at, at, at })
		skip(func(k *schemas.Skip) { k.EventTime, k.OccurredAt = schemas.Epoch, at })
	}
	for _, raw := range []schemas.ID{{15: 1}, {0: 1}, {0: 0xff}, {7: 0xff, 8: 0xff}, id(-1)} {
		activity(func(a *schemas.Activity) { a.ID = raw })
	}
	// Nothing but what a skip must have.
	skip(func(k *schemas.Skip) {
		*k = schemas.Skip{ID: id(-2), Tenant: "acme-it", Reason: schemas.Undecodable, EventTime: schemas.Epoch, OccurredAt: noon, ReceivedAt: noon}
	})

	s.append(t, rows...)
	s.want(t, rows...)
	s.append(t, reversed(rows)...) // the same values again are repeats and not rows
	s.want(t, rows...)
}

func keepsWords(t *testing.T, s *subject) {
	var rows []sink.Outcome
	for _, kind := range schemas.Kinds() {
		for _, as := range []schemas.CreditedAs{schemas.CreditedActor, schemas.CreditedAssignee, schemas.CreditedEnvelope} {
			a := Activity(len(rows))
			a.Kind, a.CreditedAs = kind, as
			rows = append(rows, sink.OfActivity(a))
		}
	}
	for _, reason := range schemas.Reasons() {
		for _, kind := range append(schemas.Kinds(), "") {
			k := Skip(len(rows))
			k.Kind, k.Reason = kind, reason
			rows = append(rows, sink.OfSkip(k))
		}
	}
	s.append(t, rows...)
	s.want(t, rows...)
}

// spansPartitions appends an event of each month of 400 years at once: a store
// that divides by time may not refuse what a tenant's Halo may send.
func spansPartitions(t *testing.T, s *subject) {
	var rows []sink.Outcome
	for month := range 400 * 12 {
		a := Activity(month)
		a.EventTime = time.Date(1890, 1+time.Month(month), 1, 0, 0, 0, 0, time.UTC)
		a.OccurredAt = schemas.OccurredAt(a.EventTime, a.ReceivedAt)
		rows = append(rows, sink.OfActivity(a))
	}
	s.append(t, rows...)
	s.append(t, reversed(rows)...)
	s.want(t, rows...)
}

func emptyBatch(t *testing.T, s *subject) {
	s.append(t)
	s.want(t)
}

func doesNotKeepRows(t *testing.T, s *subject) {
	want := outcomes(20)
	rows := slices.Clone(want)
	s.append(t, rows...)
	for i := range rows {
		rows[i] = sink.OfSkip(Skip(1_000_000 + i))
		rows[i].User = schemas.UserID(fmt.Sprint("overwritten ", i))
	}
	s.want(t, want...)
	// What a store keeps for its own use from batch to batch does not leak into
	// the next, which is shorter.
	s.append(t, outcomes(25)[20:]...)
	s.want(t, outcomes(25)...)
}
