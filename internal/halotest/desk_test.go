package halotest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

// A receiver keeps what was delivered to it and answers as it is told.
type receiver struct {
	URL string

	mu     sync.Mutex
	status int
	got    []received
	enough int
	full   chan struct{} // closed when enough have arrived
}

type received struct {
	user, password string
	body           []byte
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{status: http.StatusOK, enough: 400, full: make(chan struct{})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		user, password, _ := req.BasicAuth()
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.got = append(r.got, received{user, password, body}); len(r.got) == r.enough {
			close(r.full)
		}
		w.WriteHeader(r.status)
	}))
	t.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// take returns what was delivered since the last time.
func (r *receiver) take() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got = nil
	return got
}

// envelope is what the tests look at of a delivered item.
type envelope struct {
	ID           string         `json:"id"`
	WebhookID    string         `json:"webhook_id"`
	Notification int64          `json:"notification_id"`
	EscMsgID     string         `json:"escmsg_id"`
	Event        string         `json:"event"`
	ObjectID     uint64         `json:"object_id"`
	Timestamp    string         `json:"timestamp"`
	Ticket       map[string]any `json:"ticket"`
	Action       map[string]any `json:"action"`
}

func decode[T any](t *testing.T, body []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// call makes a request of the tenant's API, as an application that knows the
// credentials, and returns the answer.
func call(t *testing.T, s *halotest.Sim, method, target string, body any) (status int, answer []byte) {
	t.Helper()
	form := "grant_type=client_credentials&client_id=id&client_secret=secret&scope=admin:webhooks+read:tickets"
	r := httptest.NewRequest(http.MethodPost, "/auth/token", bytes.NewReader([]byte(form)))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	token := decode[map[string]any](t, w.Body.Bytes())["access_token"]

	payload, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r = httptest.NewRequest(method, target, bytes.NewReader(payload))
	r.Header.Set("Authorization", "Bearer "+token.(string))
	w = httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code, w.Body.Bytes()
}

// hook registers a webhook for all four kinds.
func hook(t *testing.T, s *halotest.Sim, url string) (id string) {
	t.Helper()
	_, body := call(t, s, "POST", "/api/Webhook", []any{map[string]any{
		"name": "hook", "url": url, "active": true, "authentication_type": 1, "basic_username": "u", "basic_password": "p",
		"events": []any{map[string]any{"eventno": 3}}, // dropped by Halo
	}})
	id = decode[[]struct{ ID string }](t, body)[0].ID
	for _, event := range []int{3, 19, 42, 76} {
		status, _ := call(t, s, "POST", "/api/Notification", []any{map[string]any{
			"guid": nil, "eventno": event, "name": "n", "type": -2, "delivery_method": 6, "webhook_id": id,
		}})
		if status != http.StatusCreated {
			t.Fatalf("notification answered with %d", status)
		}
	}
	return id
}

func newTenant() *halotest.Sim {
	return halotest.New(halotest.Config{ClientID: "id", ClientSecret: "secret", AutoDisable: 3})
}

func TestEachKindIsDeliveredInTheRealShape(t *testing.T) {
	sim, to := newTenant(), newReceiver(t)
	agent := sim.AddAgent(halotest.Agent{Name: "Ada Agent"})
	id := hook(t, sim, to.URL)
	ctx := t.Context()

	ticket, ds := sim.NewTicket(ctx, agent)
	steps := []struct {
		ds      halotest.Deliveries
		event   string
		whoType float64
		by      float64
	}{
		{ds, "new ticket logged", 2, 0},
		{sim.UpdateByAgent(ctx, ticket, agent), "ticket updated by agent", 1, float64(agent)},
		{sim.UpdateByUser(ctx, ticket), "ticket updated by user", 2, 0},
		{sim.ChangeStatus(ctx, ticket, agent), "ticket status changed", 1, float64(agent)},
		{sim.ChangeStatus(ctx, ticket, 0), "ticket status changed", 0, 0},
	}
	got := to.take()
	if len(got) != len(steps) {
		t.Fatalf("%d deliveries for %d events", len(got), len(steps))
	}
	seen := make(map[string]bool)
	for i, step := range steps {
		e := decode[envelope](t, got[i].body)
		if step.ds.Status() != 200 || got[i].user != "u" || got[i].password != "p" {
			t.Errorf("%s: answered %d, sent with %q and %q", step.event, step.ds.Status(), got[i].user, got[i].password)
		}
		if e.Event != step.event || e.ObjectID != ticket || e.WebhookID != id || e.Notification == 0 ||
			e.Ticket["id"] != float64(ticket) || e.Ticket["agent_id"] != float64(agent) || e.Ticket["summary"] == "" ||
			e.Action["id"] != float64(i+1) || e.Action["who_type"] != step.whoType || e.Action["who_agentid"] != step.by ||
			e.Action["note"] == "" || len(e.Timestamp) != len("2026-10-02T14:03:27.4410387Z") {
			t.Errorf("%s: got %s", step.event, got[i].body)
		}
		if seen[e.ID] || seen[e.EscMsgID] {
			t.Errorf("%s: an id comes twice", step.event)
		}
		seen[e.ID], seen[e.EscMsgID] = true, true
	}

	if ds := sim.Close(ctx, ticket, agent); len(ds) != 2 || ds[0].Kind != schemas.StatusChanged || ds[1].Kind != schemas.UpdatedByAgent {
		t.Errorf("a close was delivered as %+v", ds)
	}
	if e := decode[envelope](t, to.take()[0].body); e.Ticket["status_id"] != 9.0 || e.Ticket["hasbeenclosed"] != true {
		t.Errorf("closed as %v", e.Ticket["status_id"])
	}
	if ds := sim.UpdateByUser(ctx, 1); len(ds) != 1 || ds[0].Err == nil {
		t.Errorf("a ticket that does not exist: %+v", ds)
	}
}

func TestTheSameOccurrenceComesAgainUnderAnotherDeliveryID(t *testing.T) {
	sim, to := newTenant(), newReceiver(t)
	hook(t, sim, to.URL)
	_, ds := sim.NewTicket(t.Context(), 5)
	first := decode[envelope](t, to.take()[0].body)

	if got := sim.ResendAtOnce(t.Context(), ds[0], 5); got.Status() != 200 || len(got) != 5 {
		t.Errorf("got %+v", got)
	}
	ids := map[string]bool{first.ID: true}
	for _, r := range to.take() {
		again := decode[envelope](t, r.body)
		ids[again.ID] = true
		if again.EscMsgID != first.EscMsgID || again.Timestamp != first.Timestamp {
			t.Errorf("another occurrence: %+v", again)
		}
	}
	if len(ids) != 6 {
		t.Errorf("%d delivery ids for 6 deliveries", len(ids))
	}
}

func TestWhatIsHeldBackComesInOneDelivery(t *testing.T) {
	for name, test := range map[string]struct {
		shape halotest.Shape
		read  func(*testing.T, []byte) []envelope
	}{
		"array":  {halotest.Array, func(t *testing.T, b []byte) []envelope { return decode[[]envelope](t, b) }},
		"object": {halotest.Object, func(t *testing.T, b []byte) []envelope { return decode[struct{ Events []envelope }](t, b).Events }},
	} {
		t.Run(name, func(t *testing.T) {
			sim, to := newTenant(), newReceiver(t)
			hook(t, sim, to.URL)
			sim.Hold()
			ticket, ds := sim.NewTicket(t.Context(), 5)
			sim.UpdateByUser(t.Context(), ticket)
			sim.Close(t.Context(), ticket, 5)
			if len(ds) != 0 || len(to.take()) != 0 {
				t.Fatal("delivered while holding back")
			}
			ds = sim.Flush(t.Context(), test.shape)
			got := to.take()
			if len(ds) != 1 || ds[0].Items != 4 || len(got) != 1 || len(test.read(t, got[0].body)) != 4 {
				t.Errorf("got %+v, %d requests", ds, len(got))
			}
			if _, ds := sim.NewTicket(t.Context(), 5); len(ds) != 1 {
				t.Error("still holding back")
			}
		})
	}
}

func TestAWebhookIsSwitchedOffAfterFailuresInARow(t *testing.T) {
	sim, to := newTenant(), newReceiver(t)
	id := hook(t, sim, to.URL)
	ticket, _ := sim.NewTicket(t.Context(), 5)
	for _, status := range []int{500, 500, 200, 500, 500} {
		to.answer(status)
		if got := sim.UpdateByUser(t.Context(), ticket).Status(); got != status {
			t.Errorf("noted %d, answered %d", got, status)
		}
	}
	if sim.Webhooks()[0].Disabled {
		t.Error("switched off although one delivery was taken in between")
	}
	sim.UpdateByUser(t.Context(), ticket)
	if !sim.Webhooks()[0].Disabled {
		t.Error("not switched off after three failures in a row")
	}
	if ds := sim.UpdateByUser(t.Context(), ticket); len(ds) != 0 {
		t.Errorf("delivers although switched off: %+v", ds)
	}
	_, body := call(t, sim, "GET", "/api/Webhook/"+id+"?includedetails=true", nil)
	row := decode[map[string]any](t, body)
	if row["disabled"] != true || row["last_status"] != 500.0 || row["last_auto_disable_date"] == "1900-01-01T00:00:00" {
		t.Errorf("got %s", body)
	}
}

func TestADeletedWebhookDeliversLateAndOtherwiseNotAtAll(t *testing.T) {
	sim, to := newTenant(), newReceiver(t)
	old := hook(t, sim, to.URL)
	ticket, _ := sim.NewTicket(t.Context(), 5)
	if status, _ := call(t, sim, "DELETE", "/api/Webhook/"+old, nil); status != 200 {
		t.Fatalf("answered %d", status)
	}
	current := hook(t, sim, to.URL)
	to.take()
	if ds := sim.UpdateByUser(t.Context(), ticket); len(ds) != 1 || ds[0].Webhook != current {
		t.Errorf("got %+v", ds)
	}
	d := sim.LateDelivery(t.Context(), old, ticket, 5)
	got := to.take()
	if d.Status != 200 || len(got) != 2 || decode[envelope](t, got[1].body).WebhookID != old {
		t.Errorf("got %+v, %d requests", d, len(got))
	}
	if n := sim.Notifications(); n != 8 {
		t.Errorf("%d notifications: Halo does not remove them with their webhook", n)
	}
}

func TestEventsInAWebhooksBodyAreDropped(t *testing.T) {
	sim := newTenant()
	_, body := call(t, sim, "POST", "/api/Webhook", []any{map[string]any{
		"name": "hook", "url": "https://hooks.example", "active": true, "events": []any{map[string]any{"eventno": 3}},
	}})
	id := decode[[]struct{ ID string }](t, body)[0].ID
	_, body = call(t, sim, "GET", "/api/Webhook/"+id+"?includedetails=true", nil)
	if got := decode[struct{ Events []any }](t, body); len(got.Events) != 0 {
		t.Errorf("got %s", body)
	}
	if status, _ := call(t, sim, "POST", "/api/Webhook", map[string]any{"name": "no array"}); status != http.StatusBadRequest {
		t.Errorf("a body that is no array: answered %d", status)
	}
}

func TestTrafficWorksTicketsUntilItsDayEnds(t *testing.T) {
	sim, to := newTenant(), newReceiver(t)
	sim.AddAgent(halotest.Agent{Name: "Ada Agent"})
	sim.AddAgent(halotest.Agent{Name: "Off", Disabled: true})
	sim.AddAgent(halotest.Agent{Name: "Machine", API: true})
	hook(t, sim, to.URL)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- halotest.Traffic{Sim: sim, Repeats: 0.2}.Run(ctx, 5000) }()
	<-to.full
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	c, got := sim.Counters(), to.take()
	if c.Deliveries != len(got) || c.Answers[200] != c.Deliveries {
		t.Errorf("%d deliveries counted, %d arrived, answers %v", c.Deliveries, len(got), c.Answers)
	}
	occurrences := make(map[string]int)
	actors := make(map[any]bool)
	for _, r := range got {
		e := decode[envelope](t, r.body)
		occurrences[e.EscMsgID]++
		if e.Action["who_type"] == 1.0 {
			actors[e.Action["who_agentid"]] = true
		}
	}
	total := 0
	for _, kind := range schemas.Kinds() {
		if c.Occurrences[kind] == 0 {
			t.Errorf("no %s in %d deliveries", kind, c.Deliveries)
		}
		total += c.Occurrences[kind]
	}
	if len(occurrences) != total || c.Deliveries == total {
		t.Errorf("%d occurrences delivered of %d, in %d deliveries", len(occurrences), total, c.Deliveries)
	}
	if len(actors) != 1 || !actors[2.0] {
		t.Errorf("agents at work: %v", actors)
	}
	if err := (halotest.Traffic{Sim: sim}).Run(t.Context(), 0); err == nil {
		t.Error("a rate of nothing is accepted")
	}
}
