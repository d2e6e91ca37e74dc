// Package storetest is what every [sink.Store] passes, and a store in memory
// for tests of the loop.
//
// It promises that a store which passes [Run] keeps the contract of sink.Store
// as far as a reader of the views can see: each row that was appended is there,
// equal to what was appended, once. The store in memory passes it, and so does
// ClickHouse; a test that runs on the one therefore speaks of the other.
package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/sink"
)

// Reader reads what readers of the views see.
type Reader interface {
	// Folded are the rows of the views activities and skipped together, in any
	// order. An event that is in both is here twice.
	Folded(ctx context.Context) ([]sink.Outcome, error)
}

// Run is the suite. Open returns an empty store and its reader, for one test.
func Run(t *testing.T, open func(t *testing.T) (sink.Store, Reader)) {
	for name, test := range map[string]func(*testing.T, *subject){
		"EveryRowIsThereAsItWasAppended":               keepsRows,
		"ExtremeValuesAreKeptAsTheyAre":                keepsExtremes,
		"EveryKindAndReasonIsKept":                     keepsWords,
		"OneBatchMaySpanAllPartitions":                 spansPartitions,
		"RepeatsFold":                                  foldsRepeats,
		"TheFirstArrivalWinsInWhateverOrder":           firstArrivalWins,
		"WhatWasSkippedStaysSkippedWhenSentAgain":      skipStaysSkip,
		"RepeatsInTheSameMillisecondFoldTheSameWay":    sameMillisecond,
		"TenantsAndTimesAreApart":                      keysAreApart,
		"AnEmptyBatchIsKept":                           emptyBatch,
		"RowsAreTheCallersAgainAfterAppend":            doesNotKeepRows,
		"AppendReturnsSoonAfterItsContextIsDone":       returnsSoon,
		"AnAbandonedAppendIsRepeatedInOtherCompany":    abandonedIsRepeatable,
		"ManyBatchesOfRandomRepeatsFoldAsTheirBestRow": randomRepeats,
	} {
		t.Run(name, func(t *testing.T) {
			store, reader := open(t)
			test(t, &subject{store: store, reader: reader})
		})
	}
}

type subject struct {
	store  sink.Store
	reader Reader
}

func (s *subject) append(t *testing.T, rows ...sink.Outcome) {
	t.Helper()
	if err := s.store.Append(t.Context(), Rows(rows...)); err != nil {
		t.Fatalf("append %d rows: %v", len(rows), err)
	}
}

// Rows are outcomes as a store takes them.
func Rows(outcomes ...sink.Outcome) *sink.Rows {
	rows := new(sink.Rows)
	for _, o := range outcomes {
		rows.Add(o)
	}
	return rows
}

// want fails unless the views show exactly rows.
func (s *subject) want(t *testing.T, rows ...sink.Outcome) {
	t.Helper()
	got, err := s.reader.Folded(t.Context())
	if err != nil {
		t.Fatalf("read the views: %v", err)
	}
	Same(t, got, rows)
}

// Same fails unless got and want are the same rows, in any order, as the views
// show them: those have no event time.
func Same(t testing.TB, got, want []sink.Outcome) {
	t.Helper()
	got, want = inOrder(got), inOrder(want)
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
	wrong := 0
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			if wrong++; wrong <= 3 {
				t.Errorf("row %d is\n%+v, want\n%+v", i, got[i], want[i])
			}
		}
	}
	if wrong > 3 {
		t.Errorf("and %d more rows differ", wrong-3)
	}
}

func inOrder(rows []sink.Outcome) []sink.Outcome {
	all := make([]sink.Outcome, len(rows))
	for i, o := range rows {
		all[i] = shown(o)
	}
	return sorted(all)
}

// noon is the arrival of the first row that the suite makes.
var noon = time.Date(2026, 10, 2, 12, 0, 0, 441e6, time.UTC)

// Activity is a lifelike activity; equal n give equal ones, other n other
// events, n milliseconds later.
func Activity(n int) schemas.Activity {
	event := noon.Add(time.Duration(n) * time.Millisecond)
	kinds := schemas.Kinds()
	return schemas.Activity{
		ID: id(n), Tenant: "acme-it", User: schemas.UserID("user-" + string(rune('a'+n%26))), Category: schemas.Category,
		Kind: kinds[n%len(kinds)], Weight: []float32{1, 1, 1, .25}[n%len(kinds)],
		Ticket: uint64(1000 + n), Agent: schemas.AgentID(2 + n%50), CreditedAs: schemas.CreditedAssignee, Status: int32(n % 30),
		EventTime: event, OccurredAt: event, ReceivedAt: event.Add(79 * time.Second),
	}
}

// Skip is the skip of the event of Activity(n).
func Skip(n int) schemas.Skip {
	a := Activity(n)
	return schemas.Skip{
		ID: a.ID, Tenant: a.Tenant, Kind: a.Kind, Ticket: a.Ticket, Agent: a.Agent, Reason: schemas.Unmapped,
		EventTime: a.EventTime, OccurredAt: a.OccurredAt, ReceivedAt: a.ReceivedAt,
	}
}

// id spreads over all bytes, as digests do.
func id(n int) (id schemas.ID) {
	x := uint64(n) + 1
	for i := range id {
		x = x*6364136223846793005 + 1442695040888963407
		id[i] = byte(x >> 56)
	}
	return id
}

// outcomes are n rows, every fifth of them a skip.
func outcomes(n int) []sink.Outcome {
	rows := make([]sink.Outcome, n)
	for i := range rows {
		if rows[i] = sink.OfActivity(Activity(i)); i%5 == 4 {
			rows[i] = sink.OfSkip(Skip(i))
		}
	}
	return rows
}

// later is o as it would have arrived d later.
func later(o sink.Outcome, d time.Duration) sink.Outcome {
	o.ReceivedAt = o.ReceivedAt.Add(d)
	return o
}

func reversed(rows []sink.Outcome) []sink.Outcome {
	rows = slices.Clone(rows)
	slices.Reverse(rows)
	return rows
}
