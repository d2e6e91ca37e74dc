package schemas

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// someEvent is an event of any form that our edge may write.
func someEvent(r *rand.Rand) Event {
	at := func() time.Time { return time.UnixMilli(r.Int64N(8e12) - 3e12).UTC() }
	e := Event{
		Tenant: Tenant(fmt.Sprintf("tenant_%d", r.IntN(9))), Connection: ConnectionID(fmt.Sprintf("%032x", r.Uint64())),
		Kind: kinds[r.IntN(4)], Ticket: r.Uint64() >> r.IntN(64), Assignee: AgentID(r.IntN(5)), Actor: AgentID(r.IntN(300)),
		EnvelopeAgent: AgentID(r.Uint32()), Status: int32(r.Uint32()), Action: r.Uint64() >> r.IntN(64),
		EventTime: at(), OccurredAt: at(), ReceivedAt: at(),
	}
	binary.BigEndian.PutUint64(e.ID[:], r.Uint64())
	binary.BigEndian.PutUint64(e.ID[8:], r.Uint64())
	if r.IntN(2) == 0 {
		e.ActorType = actorTypes[r.IntN(3)]
	}
	if r.IntN(3) == 0 {
		e.Refusal, e.Kind = refusals[r.IntN(3)], ""
	}
	return e
}

func someActivity(r *rand.Rand, e Event) Activity {
	a := Activity{
		ID: e.ID, Tenant: e.Tenant, User: UserID([]string{"u", `us"er\é`, "3f1b7c52-8d1e"}[r.IntN(3)]), Category: Category,
		Kind: kinds[r.IntN(4)], Weight: []float32{1, 0.25, 0.1, 1e-9}[r.IntN(4)], Ticket: e.Ticket, Agent: e.Actor, CreditedAs: creditedAs[r.IntN(3)],
		ActorType: e.ActorType, Status: e.Status, EventTime: e.EventTime, OccurredAt: e.OccurredAt, ReceivedAt: e.ReceivedAt,
	}
	return a
}

func someSkip(r *rand.Rand, e Event) Skip {
	return Skip{
		ID: e.ID, Tenant: e.Tenant, Kind: e.Kind, Ticket: e.Ticket, Agent: e.Actor, Reason: reasons[r.IntN(5)],
		EventTime: e.EventTime, OccurredAt: e.OccurredAt, ReceivedAt: e.ReceivedAt,
	}
}

// The short way and the long way of reading a record must never differ: one of
// them is taken for the form of the bytes alone.
func TestARecordReadInOnePassIsTheRecordReadByTheGeneralReader(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	p := NewParser()
	for range 20_000 {
		e := someEvent(r)
		b := e.AppendJSON(nil)
		quick, exact, err := p.Event(b)
		general, errGeneral := parseEvent(b)
		if err != nil || errGeneral != nil || !reflect.DeepEqual(quick, general) || !reflect.DeepEqual(quick, e) || !exact {
			t.Fatalf("%s\n%+v, exact %v, %v\n%+v, %v", b, quick, exact, err, general, errGeneral)
		}
		a := someActivity(r, e)
		quickA, err := p.Activity(a.AppendJSON(nil))
		generalA, errGeneral := parseActivity(a.AppendJSON(nil))
		if err != nil || errGeneral != nil || quickA != generalA || quickA != a {
			t.Fatalf("%+v, %v\n%+v, %v", quickA, err, generalA, errGeneral)
		}
		s := someSkip(r, e)
		quickS, err := p.Skip(s.AppendJSON(nil))
		generalS, errGeneral := parseSkip(s.AppendJSON(nil))
		if err != nil || errGeneral != nil || quickS != generalS || quickS != s {
			t.Fatalf("%+v, %v\n%+v, %v", quickS, err, generalS, errGeneral)
		}
		if got := a.AppendJSONOf(nil, b); !bytes.Equal(got, a.AppendJSON(nil)) {
			t.Fatalf("written with the event's bytes:\n%s\nwant\n%s", got, a.AppendJSON(nil))
		}
		if got := s.AppendJSONOf(nil, b); !bytes.Equal(got, s.AppendJSON(nil)) {
			t.Fatalf("written with the event's bytes:\n%s\nwant\n%s", got, s.AppendJSON(nil))
		}
	}
}

// Whatever a byte is changed to: both ways of reading give the same, and what
// is called exact is what the writer writes.
func TestAChangedByteIsReadAlikeAndNeverCalledExactWrongly(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	p := NewParser()
	exacts, others := 0, 0
	for range 300 {
		e := someEvent(r)
		whole := e.AppendJSON(nil)
		for range 400 {
			b := bytes.Clone(whole)
			switch at := r.IntN(len(b)); r.IntN(4) {
			case 0:
				b = append(b[:at], b[at+1:]...)
			case 1:
				b = append(b[:at:at], append([]byte{"0 \\9-\"aF"[r.IntN(8)]}, b[at:]...)...)
			case 2:
				b[at] = byte(r.Uint32())
			default:
				b[at] = "0123456789abcdefABCDEF"[r.IntN(22)]
			}
			quick, exact, err := p.Event(b)
			general, errGeneral := parseEvent(b)
			if !reflect.DeepEqual(quick, general) || (err == nil) != (errGeneral == nil) {
				t.Fatalf("%s\n%+v, %v\n%+v, %v", b, quick, err, general, errGeneral)
			}
			if err != nil {
				continue
			}
			if same := bytes.Equal(quick.AppendJSON(nil), b); exact != same {
				t.Fatalf("%s\nexact %v, written again the same %v", b, exact, same)
			}
			if exact {
				exacts++
			} else {
				others++
			}
		}
	}
	if exacts < 1000 || others < 1000 {
		t.Fatalf("%d exact, %d not: this proves nothing", exacts, others)
	}
}

func TestEveryDayOfAThousandYearsIsReadAsTimeDateSays(t *testing.T) {
	for at := time.Date(1582, 1, 1, 23, 59, 59, 999e6, time.UTC); at.Year() < 2600; at = at.AddDate(0, 0, 1) {
		b := appendTime(nil, at)
		if got, ok := parseFixedTime(b[1 : len(b)-1]); !ok || !got.Equal(at) {
			t.Fatalf("%s was read as %v, %v", b, got, ok)
		}
	}
	for _, bad := range []string{
		"2026-10-02T12:00:00.00/Z", "2026-10-02T12:00:00.00:Z", "2026-10-02T12:00:00.0 0Z", "2026-02-29T12:00:00.000Z", "2026-00-02T12:00:00.000Z",
		"2026-10-00T12:00:00.000Z", "2026-04-31T12:00:00.000Z", "2026-10-02T24:00:00.000Z", "2026-10-02T12:60:00.000Z", "2026-10-02T12:00:60.000Z",
	} {
		if got, ok := parseFixedTime([]byte(bad)); ok {
			t.Errorf("%s was read as %v", bad, got)
		}
	}
	for _, first := range []string{"0000-01-01T00:00:00.000Z", "0000-03-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"} {
		want, err := time.Parse(time.RFC3339Nano, first)
		if got, ok := parseFixedTime([]byte(first)); err != nil || !ok || !got.Equal(want) {
			t.Errorf("%s was read as %v, %v", first, got, ok)
		}
	}
}

func TestAParserRemembersNoMoreStringsThanItIsTold(t *testing.T) {
	p := NewParser()
	for i := range maxMet + 10 {
		p.string([]byte(fmt.Sprint("user-", i)))
	}
	if len(p.met) > maxMet {
		t.Errorf("it remembers %d strings", len(p.met))
	}
	if n := testing.AllocsPerRun(100, func() { p.string([]byte("user-100001")) }); n > 0 {
		t.Errorf("a string that was met costs %v allocations", n)
	}
}
