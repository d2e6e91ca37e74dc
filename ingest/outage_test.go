//go:build synctests

package ingest_test

import (
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/kafkatest"
	"github.com/worksights/halo-connector/internal/metric/metrictest"
	"github.com/worksights/halo-connector/schemas"
)

// fewReplicas makes the partitions, or all of them, refuse events for now.
func fewReplicas(c *kafkatest.Cluster, partitions ...int32) *kfake.FaultHandle {
	return c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topics.Events, Partitions: partitions, Err: kerr.NotEnoughReplicas, Count: -1})
}

func TestACallerWhoHangsUpTakesNobodyWithHim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, dial := plant(t)
		outage := fewReplicas(c)
		// He comes first: what waits on the partition waits behind his events.
		gone := dial()
		if _, err := io.WriteString(gone, head(authorization(demoSecret), "Content-Length: "+strconv.Itoa(len(changed)))+changed); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		const others = 10
		answers := make(chan answer, others)
		for i := range others {
			go func() { answers <- send(t, dial, request(numbered(i+1))) }()
		}
		synctest.Wait()
		_ = gone.Close()
		time.Sleep(time.Second)
		outage.Remove()
		for range others {
			if got := <-answers; got.status != 200 {
				t.Errorf("one of the others is answered %d %s", got.status, got.body)
			}
		}
		if n := len(c.Records(t, topics.Events)); n != others+1 {
			t.Errorf("Kafka holds %d events, want those of all %d", n, others+1)
		}
	})
}

func TestWhatIsAnswered503UsuallyArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, b, dial := plantWithMetrics(t)
		outage := fewReplicas(c)
		start := time.Now()
		got := send(t, dial, request("["+numbered(1)+","+numbered(2)+"]"))
		if took := time.Since(start); got.status != 503 || got.header.Get("Retry-After") == "" || took < 1500*time.Millisecond || took > 1600*time.Millisecond {
			t.Errorf("answered %d %v after %v", got.status, got.header, took)
		}
		late := func() float64 { return metrictest.Series(t, b.reg, "halo_ingest_kept_after_refusal_total") }
		if n := late(); n != 0 {
			t.Errorf("%v events are kept already", n)
		}
		time.AfterFunc(100*time.Millisecond, func() { outage.Remove() })
		time.Sleep(5 * time.Second)
		if n := late(); n != 2 {
			t.Errorf("%v events are counted, want 2", n)
		}
		if got := send(t, dial, request(numbered(1))); got.status != 200 {
			t.Errorf("the repeat is answered %d", got.status)
		}
		if n := len(c.Records(t, topics.Events)); n != 3 {
			t.Errorf("Kafka holds %d events", n)
		}
	})
}

// Twelve partitions have twelve leaders. Where one of them stays away, its tenants
// are refused, and what they sent must not fill the producer for the others.
func TestATenantWhosePartitionIsAwayLeavesRoomForTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, dial := plant(t)
		demo := partitionOf(t, c, "demo")
		var other schemas.Tenant
		for i := range 100 {
			if other = tenant(i); partitionOf(t, c, other) != demo {
				break
			}
		}
		connect(t, c, connectionOf(other))
		outage := fewReplicas(c, demo)
		for i := range 40 {
			start := time.Now()
			if got := send(t, dial, request(items(2000))); got.status != 503 {
				t.Fatalf("answered %d %s", got.status, got.body)
			}
			if took := time.Since(start); i > 1 && took > 100*time.Millisecond {
				t.Fatalf("delivery %d waited for %v: it is taken although so much of the tenant is on its way", i+1, took)
			}
		}
		if got := send(t, dial, by(other, request(items(2000)))); got.status != 200 {
			t.Errorf("the other tenant is answered %d %s", got.status, got.body)
		}
		outage.Remove()
		time.Sleep(5 * time.Second)
		if got := send(t, dial, request(items(2000))); got.status != 200 {
			t.Errorf("afterwards the first is answered %d %s", got.status, got.body)
		}
	})
}

// partitionOf is where a tenant's records go.
func partitionOf(t *testing.T, c *kafkatest.Cluster, of schemas.Tenant) int32 {
	t.Helper()
	r := kafka.Record(topics.Skipped, string(of), schemas.SkipSchema, []byte("{}"))
	if err := c.Client(t).ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return r.Partition
}

// The records of refused deliveries come after the answers, one a second and
// connection, and hold nothing of a body.
func TestRefusedDeliveriesAreWrittenDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, dial := plant(t)
		const unlike = "Mrs Miller"
		large := strings.Repeat(" ", 2<<20) + changed
		sent := 0
		post := func(status int, body string) {
			t.Helper()
			sent++
			if got := send(t, dial, request(body)); got.status != status {
				t.Errorf("answered %d %s, want %d", got.status, got.body, status)
			}
			time.Sleep(time.Second)
		}
		post(400, `{"summary":"`+unlike)
		post(413, large)
		post(413, items(2001))
		post(200, `{"Summary":"`+unlike+`","`+unlike+`":1,"note":{"details":2}}`)
		post(200, `[`+changed+`,{"EVENT":"`+unlike+`"}]`)
		if got := send(t, dial, as(string(demoConnection().ID), unlike)); got.status != 401 {
			t.Errorf("a wrong secret is answered %d", got.status)
		}
		time.Sleep(time.Second)
		outage := fewReplicas(c)
		post(503, changed)
		outage.Remove()
		time.Sleep(5 * time.Second)
		// None of these is written down: what is good, what is a test, what is no
		// known connection's, and what no delivery is at all.
		post(200, changed)
		post(200, `{"test":true}`)
		post(200, ``)
		send(t, dial, by("nobody", request(changed)))
		send(t, dial, to("GET", "/v1/webhooks/halo/"+string(demoConnection().ID)))
		time.Sleep(time.Second)
		for range 100 {
			if got := send(t, dial, request(`<`)); got.status != 400 {
				t.Errorf("answered %d", got.status)
			}
		}
		time.Sleep(time.Second)

		want := []string{
			`"result":"malformed","items":0,"bytes":22,"fields":[]}`,
			`"result":"too_large","items":0,"bytes":` + strconv.Itoa(len(large)) + `,"fields":[]}`,
			`"result":"too_large","items":2001,"bytes":` + strconv.Itoa(len(items(2001))) + `,"fields":[]}`,
			`"result":"undecodable","items":1,"bytes":60,"fields":["details","note","summary"]}`,
			`"result":"undecodable","items":2,"bytes":` + strconv.Itoa(len(changed)+len(unlike)+15) + `,"fields":["event"]}`,
			`"result":"unauthorized","items":0,"bytes":0,"fields":[]}`,
			`"result":"unavailable","items":1,"bytes":` + strconv.Itoa(len(changed)) + `,"fields":[]}`,
			`"result":"malformed","items":0,"bytes":1,"fields":[]}`,
		}
		records := c.Records(t, topics.Deliveries)
		for i, r := range records {
			if string(r.Key) != "demo" || kafka.Schema(r) != schemas.RefusedSchema {
				t.Errorf("record %d has the key %s and the schema %s", i, r.Key, kafka.Schema(r))
			}
			if _, err := schemas.ParseRefused(r.Value); err != nil {
				t.Errorf("record %d: %v", i, err)
			}
			if i < len(want) && !strings.HasSuffix(string(r.Value), want[i]) {
				t.Errorf("record %d is\n%s, want\n%s", i, r.Value, want[i])
			}
			if strings.Contains(string(r.Value), "Miller") {
				t.Errorf("record %d quotes the delivery", i)
			}
		}
		if len(records) != len(want) {
			t.Errorf("%d records, want %d", len(records), len(want))
		}
		// Of the two tests within a minute the first is written down, elsewhere.
		tests := c.Records(t, topics.Reached)
		if len(tests) != 1 || string(tests[0].Key) != "demo" || kafka.Schema(tests[0]) != schemas.ReachedSchema {
			t.Fatalf("%d tests are written down: %v", len(tests), tests)
		}
		if r, err := schemas.ParseReached(tests[0].Value); err != nil || r.Tenant != "demo" || r.Connection != demoConnection().ID || time.Since(r.At) > time.Minute {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
