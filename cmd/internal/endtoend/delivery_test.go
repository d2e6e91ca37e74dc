package endtoend

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// delivery is one envelope as Halo sends it, and the event that must come of
// it.
type delivery struct {
	body []byte
	id   schemas.ID
}

// statusChange makes the n-th status change of the tenant, by an agent.
func (tn *tenant) statusChange(n int, agent schemas.AgentID) delivery {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d", tn.id, n))
	esc := fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
	body := fmt.Appendf(nil, `{"id":%q,"webhook_id":%q,"escmsg_id":%q,"event":"Ticket Status Changed","message":"Status changed on a ticket",`+
		`"object_id":%d,"agent_id":%d,"timestamp":%q,`+
		`"ticket":{"id":%d,"summary":"Printer on fire","status_id":9,"agent_id":%d},"action":{"id":%d,"who_type":1,"who_agentid":%d}}`,
		esc, tn.webhook.ID, esc, 1000+n, agent, time.Now().UTC().Format("2006-01-02T15:04:05.0000000Z"), 1000+n, agent, n+1, agent)
	occurrence := schemas.Occurrence{Tenant: tn.id, Kind: schemas.StatusChanged, EscMsgID: esc}
	return delivery{body: body, id: occurrence.EventID()}
}

// answer is what the edge answered. Without an answer the status is 0 and the
// error says why.
type answer struct {
	status     int
	retryAfter string
	body       string
	took       time.Duration
	err        error
}

// deliver sends a body to the tenant's webhook endpoint as Halo does.
func (tn *tenant) deliver(ctx context.Context, body []byte) answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+tn.addr(8080)+"/v1/webhooks/halo/"+string(tn.connection), bytes.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	req.SetBasicAuth(tn.webhook.Username, tn.webhook.Password.Reveal())
	req.Header.Set("Content-Type", "application/json")
	began := time.Now()
	resp, err := tn.http.Do(req)
	if err != nil {
		return answer{err: err, took: time.Since(began)}
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, retryAfter: resp.Header.Get("Retry-After"), body: string(b), took: time.Since(began)}
}

// post is deliver where the status says it all.
func (tn *tenant) post(ctx context.Context, body []byte) (int, string) {
	a := tn.deliver(ctx, body)
	if a.err != nil {
		return 0, a.err.Error()
	}
	return a.status, a.body
}

// count is how many events of the tenant are in ClickHouse.
func (tn *tenant) count() (n int, err error) {
	lines, err := tn.trySQL(tn.database, fmt.Sprintf(
		"SELECT (SELECT count() FROM activities WHERE tenant_id = '%[1]s') + (SELECT count() FROM skipped WHERE tenant_id = '%[1]s')", tn.id))
	if err == nil {
		n, err = strconv.Atoi(lines[0])
	}
	return n, err
}

// settled waits until n events of the tenant are in ClickHouse.
func (tn *tenant) settled(n int) {
	tn.t.Helper()
	await(tn.t, 60*time.Second, "events in ClickHouse", func() error {
		got, err := tn.count()
		if err == nil && got != n {
			err = fmt.Errorf("%d of %d", got, n)
		}
		return err
	})
}

// outcomes are the ids in the two views, with how often each is there.
func (tn *tenant) outcomes() (activities, skipped map[string]int, err error) {
	count := func(query string) (map[string]int, error) {
		lines, err := tn.trySQL(tn.database, query)
		ids := map[string]int{}
		for _, id := range lines {
			ids[id]++
		}
		return ids, err
	}
	activities, err = count(fmt.Sprintf("SELECT activity_id FROM activities WHERE tenant_id = '%s'", tn.id))
	if err == nil {
		skipped, err = count(fmt.Sprintf("SELECT event_id FROM skipped WHERE tenant_id = '%s'", tn.id))
	}
	return activities, skipped, err
}
