package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/internal/control"
)

const tenantPath = "/v1/tenants/{tenant}"

// answer is an output with nothing but a body.
type answer[T any] struct{ Body T }

// none is an output without a body.
type none struct{}

// wholeDocument is the document as a body.
type wholeDocument json.RawMessage

// MarshalJSON is the document as it is.
func (d wholeDocument) MarshalJSON() ([]byte, error) { return d, nil }

// Schema says no more than that it is an object.
func (wholeDocument) Schema(huma.Registry) *huma.Schema { return &huma.Schema{Type: huma.TypeObject} }

func tenantRoutes(a *API) {
	add(a, route{
		method: "GET", path: "/v1/openapi.json", id: "getOpenAPI", summary: "This document", says: "OpenAPI 3.1", everywhere: true,
	}, func(context.Context, *call, *struct{}) (*answer[wholeDocument], error) {
		return &answer[wholeDocument]{wholeDocument(a.document)}, nil
	})
	add(a, route{
		method: "GET", path: "/v1/tenants", id: "getTenants", scope: access.Read,
		summary: "The tenants that the token may see and of which anything is known",
		about:   "By name. q looks into the tenant's id and its URL.",
		says:    "Tenants",
		links:   map[string]*huma.Link{"connection": {OperationID: "getConnection", Parameters: map[string]any{"tenant": "$response.body#/tenants/0/tenant"}}},
	}, func(ctx context.Context, c *call, in *struct {
		State string `query:"state" enum:"active,degraded,unauthorized,unreachable,disconnected,sealed"`
		InSome
	},
	) (*answer[control.Tenants], error) {
		if in.Cursor != "" && !isTenant(in.Cursor) {
			return nil, control.ErrCursor
		}
		rows, err := a.cfg.Tenants.All(ctx)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			rows[i].Problems = orNone(rows[i].Problems)
		}
		rows, next := some(in.InSome, rows, func(t control.TenantRow) bool {
			return c.grant.Allows(t.Tenant) && (in.State == "" || t.State == in.State) && contains(in.Query, string(t.Tenant), t.TenantURL)
		}, func(t control.TenantRow) string { return string(t.Tenant) },
			func(t control.TenantRow, cursor string) bool { return string(t.Tenant) > cursor })
		return &answer[control.Tenants]{control.Tenants{Tenants: rows, Next: next}}, nil
	})
}

// connectionAnswer is a connection, and whether it is new.
type connectionAnswer struct {
	Status int
	Body   control.Connection
}

// whole makes sure that what is none is an empty array.
func whole(c control.Connection) control.Connection {
	c.Problems, c.Webhook.Events = orNone(c.Problems), orNone(c.Webhook.Events)
	return c
}

var haloRefuses = map[int]string{
	http.StatusUnprocessableEntity: "Halo refuses, and the customer can mend it: secret_wrong, scope_missing, webhook_refused, certificate_untrusted and others",
	http.StatusBadGateway:          "Halo failed, or cannot be reached",
	http.StatusGatewayTimeout:      "Halo did not answer in time",
}

// refusing joins what routes refuse.
func refusing(all ...map[int]string) map[int]string {
	out := make(map[int]string)
	for _, m := range all {
		for status, why := range m {
			out[status] = strings.TrimPrefix(out[status]+". "+why, ". ")
		}
	}
	return out
}

var (
	notConnected = map[int]string{http.StatusNotFound: "not_connected"}
	sealed       = map[int]string{http.StatusConflict: "sealed: the tenant's record does not open; see GET /connection"}
)

func connectionRoutes(a *API) {
	add(a, route{
		method: "GET", path: tenantPath + "/connection", id: "getConnection", scope: access.Read,
		summary: "The connection: its state, webhook, agents, and what is wrong",
		about:   "After a disconnect the state is disconnected. It is of the last health check; GET /diagnosis looks anew.",
		says:    "The connection", refuses: notConnected,
	}, func(ctx context.Context, c *call, _ *InTenant) (*answer[control.Connection], error) {
		conn, err := a.cfg.Tenants.Connection(ctx, c.tenant)
		return &answer[control.Connection]{whole(conn)}, err
	})
	add(a, route{
		method: "PUT", path: tenantPath + "/connection", id: "putConnection", scope: access.Manage, change: "connect",
		summary: "Connect the tenant's Halo, or connect it anew",
		about: "Discovers the instance, gets a token, registers the webhook \"WorkSights AI Connector\" with its four events, verifies it, " +
			"lists the agents and matches them by e-mail. Ends within 60 s. Nothing is saved unless Halo accepted the credentials. " +
			"With the credentials that it has and a healthy webhook nothing changes. Answers 201 where there was no connection.",
		says: "The connection, as it was before or anew",
		refuses: refusing(haloRefuses, sealed, map[int]string{
			http.StatusConflict: "connected_elsewhere: the tenant is connected to another Halo; disconnect it first",
		}),
	}, func(ctx context.Context, c *call, in *struct {
		InTenant
		Body control.Credentials
	},
	) (*connectionAnswer, error) {
		conn, created, err := a.cfg.Tenants.Connect(ctx, c.tenant, c.grant.Name, in.Body)
		out := &connectionAnswer{http.StatusOK, whole(conn)}
		if created {
			out.Status = http.StatusCreated
		}
		return out, err
	})
	add(a, route{
		method: "DELETE", path: tenantPath + "/connection", id: "deleteConnection", scope: access.Manage, change: "disconnect",
		summary: "Disconnect: revoke the verifier, destroy the credentials, remove the webhook",
		about: "The webhook is removed from Halo best effort; deliveries of one that is left behind are refused, " +
			"and GET /connection says what is left. Its removal is tried again for a day, for which alone the credentials are kept sealed; " +
			"they are destroyed once nothing is left. The timeline stays.",
		status: http.StatusNoContent, says: "Disconnected, or it was already", refuses: notConnected,
	}, func(ctx context.Context, c *call, _ *InTenant) (*none, error) {
		return &none{}, a.cfg.Tenants.Disconnect(ctx, c.tenant, c.grant.Name)
	})
	add(a, route{
		method: "POST", path: tenantPath + "/connection/refresh", id: "refreshConnection", scope: access.Map, change: "refresh",
		summary: "List the agents again and match new ones",
		about:   "An empty or refused list removes nobody and is said as a problem. What was mapped or unmapped by hand stays so.",
		says:    "The connection", refuses: refusing(haloRefuses, notConnected, sealed),
	}, func(ctx context.Context, c *call, _ *InTenant) (*answer[control.Connection], error) {
		conn, err := a.cfg.Tenants.Refresh(ctx, c.tenant, c.grant.Name)
		return &answer[control.Connection]{whole(conn)}, err
	})
	add(a, route{
		method: "POST", path: tenantPath + "/connection/reconnect", id: "reconnectConnection", scope: access.Manage, change: "reconnect",
		summary: "Register the webhook again, with a fresh secret",
		about: "Webhooks of ours that are left in Halo are removed. Late deliveries of the old webhook are accepted for ten minutes " +
			"and skipped as stale.",
		says: "The connection", refuses: refusing(haloRefuses, notConnected, sealed),
	}, func(ctx context.Context, c *call, _ *InTenant) (*answer[control.Connection], error) {
		conn, err := a.cfg.Tenants.Reconnect(ctx, c.tenant, c.grant.Name)
		return &answer[control.Connection]{whole(conn)}, err
	})
	add(a, route{
		method: "GET", path: tenantPath + "/diagnosis", id: "getDiagnosis", scope: access.Read,
		summary: "Answer from facts: agents missing? activities missing? no events?",
		about:   "Looks at Halo anew, at most once in 30 s, and changes nothing.",
		says:    "The three questions of the customer's guide, each with its answer", refuses: notConnected,
	}, func(ctx context.Context, c *call, _ *InTenant) (*answer[control.Diagnosis], error) {
		d, err := a.cfg.Tenants.Diagnosis(ctx, c.tenant)
		d.Questions = orNone(slices.Clone(d.Questions))
		for i := range d.Questions {
			if d.Questions[i].Facts == nil {
				d.Questions[i].Facts = map[string]any{}
			}
		}
		return &answer[control.Diagnosis]{d}, err
	})
}
