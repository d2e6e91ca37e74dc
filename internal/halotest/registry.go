package halotest

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// Webhook is a registered webhook as a test may look at it.
type Webhook struct {
	ID       string
	Name     string
	URL      string
	Username string
	Password schemas.Secret
	Active   bool
	Disabled bool
	Deleted  bool    // kept, so that it can deliver late
	Events   []int64 // the numbers of the events bound to it, ascending

	// Bound are the numbers of the events by the notifications that were ever made
	// for it: what it delivers late names them.
	Bound map[int64]int64
}

type webhook struct {
	Webhook
	failures   int // in a row
	lastStatus int
	disabledAt time.Time
}

type notification struct {
	id, event int64
	name      string
	webhookID string
}

// webhookBody is what may be posted. The events in it are dropped, as seen on a
// trial tenant: they are not even read.
type webhookBody struct {
	ID             string `json:"id"`
	Name           string `json:"name"`
	URL            string `json:"url"`
	Active         bool   `json:"active"`
	Disabled       bool   `json:"disabled"`
	Authentication int    `json:"authentication_type"`
	Username       string `json:"basic_username"`
	Password       string `json:"basic_password"`
}

func (s *Sim) saveWebhooks(w http.ResponseWriter, r *http.Request, _ token) {
	var bodies []webhookBody
	if err := json.NewDecoder(r.Body).Decode(&bodies); err != nil || len(bodies) == 0 {
		complain(w, http.StatusBadRequest, "Cannot deserialize the current JSON object because the type requires a JSON array.")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows []any
	for _, b := range bodies {
		if b.Name == "" || b.URL == "" || len(b.URL) > 500 {
			complain(w, http.StatusBadRequest, "The webhook is not valid.")
			return
		}
		hook := &webhook{}
		if b.ID != "" {
			if hook = s.findWebhook(b.ID); hook == nil {
				complain(w, http.StatusNotFound, "Record not found.")
				return
			}
		} else {
			hook.ID = s.guid()
			s.webhooks[hook.ID] = hook
		}
		if hook.Name, hook.URL, hook.Active, hook.Disabled = b.Name, b.URL, b.Active, b.Disabled; s.cfg.SlashURLs {
			hook.URL = strings.TrimRight(hook.URL, "/") + "/"
		}
		hook.failures = 0
		if b.Authentication == 1 {
			hook.Username, hook.Password = b.Username, schemas.Secret(b.Password)
		}
		rows = append(rows, s.webhookRow(hook, false))
	}
	s.replySaved(w, rows)
}

func (s *Sim) listWebhooks(w http.ResponseWriter, r *http.Request, _ token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows []any
	for _, hook := range s.sortedWebhooks() {
		if !hook.Deleted {
			rows = append(rows, s.webhookRow(hook, false))
		}
	}
	s.replyList(w, r.URL.Query(), "webhooks", rows)
}

func (s *Sim) getWebhook(w http.ResponseWriter, r *http.Request, _ token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hook := s.findWebhook(r.PathValue("id"))
	if hook == nil {
		complain(w, http.StatusNotFound, "Record not found.")
		return
	}
	reply(w, http.StatusOK, s.webhookRow(hook, r.URL.Query().Get("includedetails") == "true"))
}

func (s *Sim) deleteWebhook(w http.ResponseWriter, r *http.Request, _ token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hook := s.findWebhook(r.PathValue("id"))
	if hook == nil {
		complain(w, http.StatusNotFound, "Record not found.")
		return
	}
	hook.Deleted = true
	reply(w, http.StatusOK, s.webhookRow(hook, false))
}

func (s *Sim) saveNotifications(w http.ResponseWriter, r *http.Request, _ token) {
	var bodies []struct {
		GUID      *string `json:"guid"`
		Event     int64   `json:"eventno"`
		Name      string  `json:"name"`
		Type      int     `json:"type"`
		Method    int     `json:"delivery_method"`
		WebhookID string  `json:"webhook_id"`
	}
	if err := json.NewDecoder(r.Body).Decode(&bodies); err != nil || len(bodies) == 0 {
		complain(w, http.StatusBadRequest, "Cannot deserialize the current JSON object because the type requires a JSON array.")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows []any
	for _, b := range bodies {
		hook := s.findWebhook(b.WebhookID)
		if hook == nil || b.GUID != nil || b.Event < 1 || b.Type != -2 || b.Method != 6 {
			complain(w, http.StatusBadRequest, "The notification is not valid.")
			return
		}
		s.nextID++
		n := &notification{id: s.nextID, event: b.Event, name: b.Name, webhookID: hook.ID}
		s.notifications[n.id] = n
		if hook.Bound == nil {
			hook.Bound = make(map[int64]int64)
		}
		hook.Bound[n.id] = n.event
		rows = append(rows, s.notificationRow(n))
	}
	s.replySaved(w, rows)
}

func (s *Sim) listNotifications(w http.ResponseWriter, r *http.Request, _ token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows []any
	for _, id := range slices.Sorted(maps.Keys(s.notifications)) {
		rows = append(rows, s.notificationRow(s.notifications[id]))
	}
	s.replyList(w, r.URL.Query(), "notifications", rows)
}

func (s *Sim) deleteNotification(w http.ResponseWriter, r *http.Request, _ token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	n, ok := s.notifications[id]
	if !ok {
		complain(w, http.StatusNotFound, "Record not found.")
		return
	}
	delete(s.notifications, id)
	reply(w, http.StatusOK, s.notificationRow(n))
}

// replySaved answers a POST with what was saved.
func (s *Sim) replySaved(w http.ResponseWriter, rows []any) {
	if s.cfg.ObjectReplies {
		reply(w, http.StatusCreated, rows[0])
		return
	}
	reply(w, http.StatusCreated, rows)
}

// webhookRow leaves out the password, as Halo does; events come with the
// details only.
func (s *Sim) webhookRow(hook *webhook, details bool) map[string]any {
	disabledAt := "1900-01-01T00:00:00" // Halo's "never"
	if !hook.disabledAt.IsZero() {
		disabledAt = hook.disabledAt.UTC().Format("2006-01-02T15:04:05.999")
	}
	row := map[string]any{
		"id": hook.ID, "name": hook.Name, "url": hook.URL, "type": 0, "method": 0, "content_type": "application/json",
		"authentication_type": 1, "basic_username": hook.Username, "batch_method": 0,
		"active": hook.Active, "disabled": hook.Disabled, "last_status": hook.lastStatus,
		"last_auto_disable_date": disabledAt, "auto_disable_attempts": s.cfg.AutoDisable,
	}
	if details {
		events := []any{}
		for _, n := range s.bound(hook.ID) {
			event := s.notificationRow(n)
			if s.cfg.BareEvents {
				delete(event, "id")
			}
			events = append(events, event)
		}
		row["events"] = events
	}
	return row
}

func (s *Sim) notificationRow(n *notification) map[string]any {
	return map[string]any{
		"id": s.number(n.id), "eventno": s.number(n.event), "name": n.name, "webhook_id": n.webhookID,
		"type": -2, "delivery_method": 6, "agent_id": 0, "agent_name": "", "interval": 0, "condition_count": 0,
	}
}

// bound lists the notifications of a webhook by id.
func (s *Sim) bound(webhookID string) []*notification {
	var all []*notification
	for _, n := range s.notifications {
		if n.webhookID == webhookID {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b *notification) int { return cmp.Compare(a.id, b.id) })
	return all
}

// findWebhook finds a webhook that was not deleted, without regard to case.
func (s *Sim) findWebhook(id string) *webhook {
	if hook, ok := s.webhooks[strings.ToLower(id)]; ok && !hook.Deleted {
		return hook
	}
	return nil
}

func (s *Sim) sortedWebhooks() []*webhook {
	return slices.SortedFunc(maps.Values(s.webhooks), func(a, b *webhook) int { return cmp.Compare(a.ID, b.ID) })
}

// Webhooks lists all webhooks that were ever registered, the deleted ones too.
func (s *Sim) Webhooks() []Webhook {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Webhook
	for _, hook := range s.sortedWebhooks() {
		w := hook.Webhook
		w.Bound = maps.Clone(w.Bound)
		for _, n := range s.bound(w.ID) {
			w.Events = append(w.Events, n.event)
		}
		slices.Sort(w.Events)
		all = append(all, w)
	}
	return all
}

// Notifications counts those of all webhooks, the deleted ones' too: Halo does
// not remove them along.
func (s *Sim) Notifications() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.notifications)
}

// SwitchOff is what a person does in Halo's list of webhooks.
func (s *Sim) SwitchOff(id string) {
	s.ChangeWebhook(id, func(w *Webhook) { w.Disabled = true })
}

// AutoDisable is what Halo does by itself after too many failed deliveries: it
// keeps the date, which a person's switch does not touch.
func (s *Sim) AutoDisable(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if hook, ok := s.webhooks[id]; ok {
		s.giveUp(hook)
	}
}

// giveUp switches a webhook off. The caller holds the lock.
func (s *Sim) giveUp(hook *webhook) { hook.Disabled, hook.disabledAt = true, s.cfg.Now() }

// ChangeWebhook lets edit do what an administrator does in Halo: switch a
// webhook off (Disabled), delete it (Deleted), point it elsewhere (URL).
func (s *Sim) ChangeWebhook(id string, edit func(*Webhook)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if hook, ok := s.webhooks[id]; ok {
		edit(&hook.Webhook)
	}
}

// AddWebhook registers a webhook past the API, and returns its id.
func (s *Sim) AddWebhook(w Webhook) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.ID = s.guid()
	s.webhooks[w.ID] = &webhook{Webhook: w}
	return w.ID
}

// AddStrangers registers webhooks of other integrations, each bound to one
// event.
func (s *Sim) AddStrangers(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range n {
		hook := &webhook{Webhook: Webhook{
			ID: s.guid(), Name: "Integration " + strconv.Itoa(i+1), URL: "https://elsewhere.example/" + strconv.Itoa(i+1), Active: true,
		}}
		s.webhooks[hook.ID] = hook
		s.nextID++
		s.notifications[s.nextID] = &notification{id: s.nextID, event: 17, name: hook.Name, webhookID: hook.ID}
	}
}

// Bind adds an event to a webhook, as an administrator may, and returns the
// notification's id.
func (s *Sim) Bind(webhookID string, event int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextID++
	s.notifications[s.nextID] = &notification{id: s.nextID, event: event, name: "bound by hand", webhookID: webhookID}
	return s.nextID
}

// Unbind removes an event from a webhook, as an administrator may.
func (s *Sim) Unbind(webhookID string, event int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.notifications, func(_ int64, n *notification) bool {
		return n.webhookID == webhookID && n.event == event
	})
}
