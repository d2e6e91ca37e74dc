// Package control is a client of the control API, for the operator's tool and
// for the local mode, which connects its simulated tenant as any customer is
// connected.
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// Client speaks to the control API.
type Client struct {
	base  string
	token schemas.Secret
	http  *http.Client
}

// New returns a client of the API at base, such as http://127.0.0.1:8081.
func New(base string, token schemas.Secret) *Client {
	return &Client{
		base:  strings.TrimRight(base, "/"),
		token: token,
		// PUT /connection may take 60 s, while Halo is asked a dozen things.
		http: &http.Client{Timeout: 75 * time.Second},
	}
}

// ErrUnavailable says that the API did not answer.
var ErrUnavailable = errors.New("not available")

// Refusal is what the control API answered instead of 2xx, in its own words.
type Refusal struct {
	Status  int
	Code    string
	Message string
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s (%s)", r.Message, r.Code) }

// Do sends one request and returns the answer's body. path begins with "/".
// Errors are a *[Refusal], or wrap [ErrUnavailable].
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, body any) (json.RawMessage, error) {
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		payload = bytes.NewReader(b)
	}
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, payload)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: control API at %s: %w", ErrUnavailable, c.base, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 32<<20))
	if err != nil {
		return nil, fmt.Errorf("%w: control API: %w", ErrUnavailable, err)
	}
	if resp.StatusCode >= 300 {
		e := &Refusal{Status: resp.StatusCode, Code: "http_" + fmt.Sprint(resp.StatusCode), Message: http.StatusText(resp.StatusCode)}
		var said struct {
			Error struct{ Code, Message string }
		}
		if json.Unmarshal(b, &said) == nil && said.Error.Code != "" {
			e.Code, e.Message = said.Error.Code, said.Error.Message
		}
		return nil, e
	}
	return b, nil
}

// Ask is Do for one tenant, with the answer decoded into out unless that is
// nil.
func (c *Client) Ask(ctx context.Context, method string, t schemas.Tenant, path string, query url.Values, body, out any) (json.RawMessage, error) {
	raw, err := c.Do(ctx, method, "/v1/tenants/"+url.PathEscape(string(t))+path, query, body)
	if err != nil || out == nil {
		return raw, err
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return nil, fmt.Errorf("control API: answer of %s %s: %w", method, path, err)
	}
	return raw, nil
}

// The answers, as far as they are shown.
type (
	Connection struct {
		Tenant, Connection, State string
		TenantURL                 string `json:"tenant_url"`
		Webhook                   struct {
			ID, Name, URL string
			Active        bool
			Events        []string
			CheckedAt     *time.Time `json:"checked_at"`
		}
		Agents         struct{ Total, Matched, Unmatched, Ignored int }
		LastDeliveryAt *time.Time `json:"last_delivery_at"`
		ConnectedAt    *time.Time `json:"connected_at"`
		Problems       []struct{ Code, Message, Action string }
	}
	Agents struct {
		Agents []struct {
			ID     json.Number `json:"agent_id"`
			Name   string
			Email  string
			State  string
			UserID string `json:"user_id"`
			Since  *time.Time
		}
	}
	Timeline struct {
		Activities []struct {
			OccurredAt time.Time   `json:"occurred_at"`
			UserID     string      `json:"user_id"`
			Kind       string      `json:"kind"`
			Weight     float64     `json:"weight"`
			Ticket     json.Number `json:"ticket_id"`
			Agent      json.Number `json:"agent_id"`
			CreditedAs string      `json:"credited_as"`
			Status     json.Number `json:"status_id"`
		}
		Next string
	}
	Diagnosis struct {
		Questions []struct {
			ID       string
			Finding  string
			Facts    map[string]any
			NextStep string `json:"next_step"`
		}
	}
)
