package connect

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// errTimeline says that the outcomes behind a timeline are not known now.
var errTimeline = errors.New("the timeline cannot be read")

// The limits of one page of a timeline.
const (
	usualLimit = 100
	mostLimit  = 1000
)

func (c *Connect) getTimeline(r *request) (int, any, error) {
	q, err := readQuery(r)
	if err != nil {
		return 0, nil, err
	}
	// One more than asked for tells whether there is a next page.
	ask := q
	ask.Limit++
	rows, err := c.cfg.Outcomes.Activities(r.Context(), ask)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %w", errTimeline, err)
	}
	var next *string
	if len(rows) > q.Limit {
		rows = rows[:q.Limit]
		last := rows[len(rows)-1]
		cursor := Position{last.OccurredAt, last.ID}.cursor()
		next = &cursor
	}
	if rows == nil {
		rows = []Activity{}
	}
	return http.StatusOK, map[string]any{"activities": rows, "next": next}, nil
}

func readQuery(r *request) (Query, error) {
	in, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil { // a filter that was left out would show what was not asked for
		return Query{}, refuse(http.StatusBadRequest, "invalid_query", "The query cannot be read.")
	}
	q := Query{Tenant: r.tenant, User: schemas.UserID(in.Get("user")), Limit: usualLimit}
	bad := func(code, message string) (Query, error) {
		return Query{}, refuse(http.StatusBadRequest, code, message)
	}
	var ok bool
	if q.From, ok = readTime(in.Get("from")); !ok {
		return bad("invalid_from", "from is a time as in RFC 3339, or a date.")
	}
	if q.To, ok = readTime(in.Get("to")); !ok {
		return bad("invalid_to", "to is a time as in RFC 3339, or a date.")
	}
	if s := in.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > mostLimit {
			return bad("invalid_limit", "limit is 1 to 1000.")
		}
		q.Limit = n
	}
	if s := in.Get("cursor"); s != "" {
		if q.After, ok = parseCursor(s); !ok {
			return bad("invalid_cursor", "cursor takes what next was in an earlier answer.")
		}
	}
	return q, nil
}

// readTime reads a time, or a date as its beginning in UTC. What comes out of a
// query with a bare "+" in place of %2B is read too.
func readTime(s string) (time.Time, bool) {
	if s == "" {
		return time.Time{}, true
	}
	s = strings.ReplaceAll(s, " ", "+")
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			// ClickHouse's DateTime64 ends in 2299 and begins in 1900.
			return t.UTC(), t.Year() >= 1900 && t.Year() < 2299
		}
	}
	return time.Time{}, false
}

// cursor writes a position as a text that callers take as it is.
func (p Position) cursor() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(p.OccurredAt.UnixMilli(), 10) + "|" + p.ID))
}

func parseCursor(s string) (*Position, bool) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, false
	}
	millis, id, _ := strings.Cut(string(b), "|")
	n, err := strconv.ParseInt(millis, 10, 64)
	if err != nil {
		return nil, false
	}
	uuid, err := schemas.ParseID(id)
	if err != nil {
		return nil, false
	}
	return &Position{time.UnixMilli(n).UTC(), uuid.String()}, true
}

// deliveries remembers for a moment when each tenant's last event arrived: a
// settings page that is open asks every second.
type deliveries struct {
	mu   sync.Mutex
	last map[schemas.Tenant]heard
}

type heard struct{ asked, last time.Time }

const deliveriesFor = 2 * time.Second

// lastDelivery is when the tenant's last event arrived; zero where none did, or
// ClickHouse cannot be asked: that says nothing about the connection.
func (c *Connect) lastDelivery(ctx context.Context, id schemas.Tenant) time.Time {
	now := c.now()
	c.heard.mu.Lock()
	h, ok := c.heard.last[id]
	c.heard.mu.Unlock()
	if ok && !h.last.IsZero() && now.Sub(h.asked) < deliveriesFor {
		return h.last
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	last, err := c.cfg.Outcomes.LastDelivery(ctx, id)
	if err != nil {
		c.log.Debug("the last delivery is not known", "tenant", id, "err", err)
		return h.last
	}
	c.heard.mu.Lock()
	defer c.heard.mu.Unlock()
	if c.heard.last == nil {
		c.heard.last = make(map[schemas.Tenant]heard)
	}
	c.heard.last[id] = heard{now, last}
	return last
}
