package halotest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/worksights/halo-connector/schemas"
)

// Delivery is one request that a webhook made, and how it was answered.
type Delivery struct {
	Kind    schemas.Kind // of its first item
	Ticket  uint64       // of its first item
	Webhook string
	Items   int
	Status  int   // HTTP status of the answer, 0 where there was none
	Err     error // why there was none

	items []envelope
	shape Shape
}

// Deliveries are what came of one occurrence: one for each webhook that
// listens, none where no webhook does.
type Deliveries []Delivery

// Status is the highest status answered, 0 where there was no delivery or one
// had no answer. 200 thus means that all were taken.
func (ds Deliveries) Status() int {
	status := 0
	for _, d := range ds {
		if d.Status == 0 {
			return 0
		}
		status = max(status, d.Status)
	}
	return status
}

// Shape is how several items stand in one delivery. What Halo does is not
// published.
type Shape int

// The shapes that a receiver must expect.
const (
	Single Shape = iota // one envelope to a delivery
	Array               // an array of envelopes
	Object              // an object that holds an array of envelopes
)

// sendAll delivers items synchronously, in order, unless the simulation holds
// them back. Several items of one webhook are several deliveries: a connection
// registers its webhook without batching.
func (s *Sim) sendAll(ctx context.Context, items map[string][]envelope) Deliveries {
	s.mu.Lock()
	if s.holding {
		for hook, more := range items {
			s.held[hook] = append(s.held[hook], more...)
		}
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	var ds Deliveries
	for _, hook := range slices.Sorted(maps.Keys(items)) {
		for _, item := range items[hook] {
			ds = append(ds, s.send(ctx, hook, []envelope{item}, Single))
		}
	}
	return ds
}

// Hold keeps what occurs from now on undelivered, until Flush.
func (s *Sim) Hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding = true
}

// Flush delivers what was held back: for each webhook one delivery with all its
// items, or with [Single] one delivery for each item.
func (s *Sim) Flush(ctx context.Context, shape Shape) Deliveries {
	s.mu.Lock()
	items := s.held
	s.held, s.holding = make(map[string][]envelope), false
	s.mu.Unlock()
	if shape == Single {
		return s.sendAll(ctx, items)
	}
	var ds Deliveries
	for _, hook := range slices.Sorted(maps.Keys(items)) {
		ds = append(ds, s.send(ctx, hook, items[hook], shape))
	}
	return ds
}

// Resend sends a delivery again, as an administrator can from the delivery log:
// the same occurrences under a new delivery id.
func (s *Sim) Resend(ctx context.Context, d Delivery) Delivery {
	s.mu.Lock()
	items := make([]envelope, len(d.items))
	for i, item := range d.items {
		items[i] = item.again(s.guid())
	}
	s.mu.Unlock()
	return s.send(ctx, d.Webhook, items, d.shape)
}

// logged is how many deliveries the log of a tenant keeps.
const logged = 500

// Log are the last deliveries, oldest first: what an administrator sees in Halo's
// delivery log, and may send again.
func (s *Sim) Log() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// Test is the test button of a webhook: an empty POST with its secret. It is no
// delivery, and stands in no log.
func (s *Sim) Test(ctx context.Context, webhookID string) (status int, err error) {
	s.mu.Lock()
	hook := s.findWebhook(webhookID)
	if hook == nil {
		s.mu.Unlock()
		return 0, fmt.Errorf("simulated HaloPSA: no webhook %s", webhookID)
	}
	to := hook.Webhook
	s.mu.Unlock()
	if status, err = s.post(ctx, to, nil); err == nil {
		s.mu.Lock()
		hook.lastStatus = status
		s.mu.Unlock()
	}
	return status, err
}

// ResendAtOnce sends a delivery again n times, all at the same time.
func (s *Sim) ResendAtOnce(ctx context.Context, d Delivery, n int) Deliveries {
	ds := make(Deliveries, n)
	var wg sync.WaitGroup
	for i := range ds {
		wg.Go(func() { ds[i] = s.Resend(ctx, d) })
	}
	wg.Wait()
	return ds
}

// send makes one request for a webhook, deleted or not, and notes the answer.
func (s *Sim) send(ctx context.Context, webhookID string, items []envelope, shape Shape) Delivery {
	d := Delivery{
		Kind: items[0].kind, Ticket: items[0].ticket, Webhook: webhookID, Items: len(items), items: items, shape: shape,
	}
	s.mu.Lock()
	hook, ok := s.webhooks[webhookID]
	if !ok {
		s.mu.Unlock()
		d.Err = fmt.Errorf("simulated HaloPSA: no webhook %s", webhookID)
		return d
	}
	to := hook.Webhook
	s.mu.Unlock()

	payload, err := json.Marshal(body(items, shape))
	if err != nil {
		d.Err = fmt.Errorf("simulated HaloPSA: %w", err)
		return d
	}
	d.Status, d.Err = s.post(ctx, to, payload)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.counters.answer(d)
	hook.lastStatus = d.Status
	if s.log = append(s.log, d); len(s.log) > logged {
		s.log = s.log[1:]
	}
	if d.Status/100 == 2 {
		hook.failures = 0
	} else if hook.failures++; s.cfg.AutoDisable > 0 && hook.failures >= s.cfg.AutoDisable && !hook.Disabled {
		s.giveUp(hook)
	}
	return d
}

func (s *Sim) post(ctx context.Context, to Webhook, payload []byte) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, bytes.NewReader(payload))
	if err != nil {
		return 0, fmt.Errorf("simulated HaloPSA: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if to.Username != "" {
		req.SetBasicAuth(to.Username, to.Password.Reveal())
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("simulated HaloPSA: %w", err)
	}
	defer resp.Body.Close()
	// Read to the end so that the connection is used again; what it says does
	// not matter to Halo.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, nil
}

func body(items []envelope, shape Shape) any {
	all := make([]map[string]any, len(items))
	for i, item := range items {
		all[i] = item.fields
	}
	switch shape {
	case Array:
		return all
	case Object:
		return map[string]any{"count": len(all), "events": all}
	default:
		return all[0]
	}
}
