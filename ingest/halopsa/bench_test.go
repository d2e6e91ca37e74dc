package halopsa

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/worksights/halo-connector/internal/costtest"
)

// What an afternoon with encoding/json would read into, to compare with.
type plainEnvelope struct {
	ID             string `json:"id"`
	WebhookID      string `json:"webhook_id"`
	NotificationID int64  `json:"notification_id"`
	EscmsgID       string `json:"escmsg_id"`
	Event          string `json:"event"`
	ObjectID       uint64 `json:"object_id"`
	AgentID        uint64 `json:"agent_id"`
	Timestamp      string `json:"timestamp"`
	Ticket         struct {
		ID       uint64 `json:"id"`
		AgentID  uint64 `json:"agent_id"`
		StatusID int32  `json:"status_id"`
	} `json:"ticket"`
	Action struct {
		ID              uint64 `json:"id"`
		WhoType         int    `json:"who_type"`
		WhoAgentid      uint64 `json:"who_agentid"`
		ActionbyAgentID uint64 `json:"actionby_agent_id"`
		NewStatus       int32  `json:"new_status"`
	} `json:"action"`
}

func benchmarkDecode(b *testing.B, name string) {
	body := golden(b, name)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	before := costtest.CPU()
	for b.Loop() {
		if _, err := Decode(body, delivery); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(costtest.CPU()-before)/float64(time.Microsecond)/float64(b.N), "cpu-µs/op")
}

func BenchmarkDecode18K(b *testing.B)        { benchmarkDecode(b, "status_changed_full") }
func BenchmarkDecode18KEscaped(b *testing.B) { benchmarkDecode(b, "updated_by_user_escaped") }
func BenchmarkDecode2K(b *testing.B)         { benchmarkDecode(b, "updated_by_agent_2k") }
func BenchmarkDecodeBatch(b *testing.B)      { benchmarkDecode(b, "batch_array") }

// BenchmarkFloor18K is a scanner that only checks that the body is JSON: what
// no decoder can go below that skips as ours does.
func BenchmarkFloor18K(b *testing.B) {
	body := golden(b, "status_changed_full")
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if skipValue(body, 0, 0) < 0 {
			b.Fatal("not JSON")
		}
	}
}

func BenchmarkEncodingJSON18K(b *testing.B) { benchmarkJSON(b, "status_changed_full") }
func BenchmarkEncodingJSON2K(b *testing.B)  { benchmarkJSON(b, "updated_by_agent_2k") }

func benchmarkJSON(b *testing.B, name string) {
	body := golden(b, name)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		var e plainEnvelope
		if err := json.Unmarshal(body, &e); err != nil {
			b.Fatal(err)
		}
	}
}
