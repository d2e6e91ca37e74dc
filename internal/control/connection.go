package control

import (
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// The states of a connection.
const (
	Active       = "active"       // everything that can be seen is in order
	Degraded     = "degraded"     // it stands, and something is missing: see the problems
	Unauthorized = "unauthorized" // Halo refuses the credentials, or lacks a scope for them
	Unreachable  = "unreachable"  // Halo could not be asked
	Disconnected = "disconnected"
	Sealed       = "sealed" // its record does not open: nothing of it is changed until a person says so
)

// States are all states, in the order of the constants.
func States() []string {
	return []string{Active, Degraded, Unauthorized, Unreachable, Disconnected, Sealed}
}

// Credentials are the body of PUT /connection.
type Credentials struct {
	TenantURL    string `json:"tenant_url" minLength:"1" pattern:"\\S" patternDescription:"more than blanks" maxLength:"2000" example:"acme.halopsa.com" doc:"https unless configuration allows otherwise. What can be nobody's host, such as a key that was pasted here, is refused and not repeated"`
	ClientID     string `json:"client_id" minLength:"1" pattern:"\\S" patternDescription:"more than blanks" maxLength:"1000" example:"5b7c1d2e-0a64-4c39-9f5e-0d9a3f1c7b42"`
	ClientSecret string `json:"client_secret" minLength:"1" pattern:"\\S" patternDescription:"more than blanks" maxLength:"1000" writeOnly:"true"`
	CABundle     string `json:"ca_bundle,omitempty" nullable:"true" maxLength:"500000" doc:"PEM certificates of the authority of a self-hosted Halo"`
	// ReplaceSealed makes a sealed tenant's connection anew.
	ReplaceSealed bool `json:"replace_sealed,omitempty" nullable:"true" doc:"Connect a sealed tenant anew. Every mapping's history is kept. Ignored where the tenant is not sealed"`
}

// Connection is a tenant's link to its Halo.
type Connection struct {
	Tenant         schemas.Tenant       `json:"tenant" example:"acme"`
	Connection     schemas.ConnectionID `json:"connection" example:"0d9a3f1c7b425b7c1d2e0a644c399f5e"`
	State          string               `json:"state" enum:"active,degraded,unauthorized,unreachable,disconnected,sealed"`
	TenantURL      string               `json:"tenant_url" example:"https://acme.halopsa.com"`
	Webhook        Webhook              `json:"webhook"`
	Agents         AgentCounts          `json:"agents"`
	LastDeliveryAt *time.Time           `json:"last_delivery_at" doc:"null: none is known"`
	ConnectedAt    *time.Time           `json:"connected_at"`
	Problems       []Problem            `json:"problems"`
}

// Webhook is the registration in Halo, as it was at the last look.
type Webhook struct {
	ID        string         `json:"id"`
	Name      string         `json:"name" example:"WorkSights AI Connector"`
	URL       string         `json:"url" example:"https://hooks.worksights.example/v1/webhooks/halo/0d9a3f1c7b425b7c1d2e0a644c399f5e"`
	Active    bool           `json:"active"`
	Events    []schemas.Kind `json:"events" enum:"ticket_logged,status_changed,updated_by_agent,updated_by_user" doc:"The kinds that the webhook is bound to; four when all is well"`
	CheckedAt *time.Time     `json:"checked_at"`
}

// AgentCounts are a tenant's agents by their states.
type AgentCounts struct {
	Total     int `json:"total" minimum:"0"`
	Matched   int `json:"matched" minimum:"0"`
	Unmatched int `json:"unmatched" minimum:"0"`
	Ignored   int `json:"ignored" minimum:"0"`
}

// The severities of a problem. Only an error makes a connection degraded.
const (
	SeverityError   = "error"
	SeverityWarning = "warning"
	SeverityInfo    = "info"
)

// Problem is something that an operator should know, in plain words.
type Problem struct {
	Code     string    `json:"code" example:"webhook_disabled"`
	Severity string    `json:"severity" enum:"error,warning,info"`
	Message  string    `json:"message"`
	Action   string    `json:"action" doc:"The next step"`
	Since    time.Time `json:"since" doc:"When it was first seen"`
}

// TenantRow is a tenant in the list of all.
type TenantRow struct {
	Tenant         schemas.Tenant `json:"tenant" example:"acme"`
	State          string         `json:"state" enum:"active,degraded,unauthorized,unreachable,disconnected,sealed"`
	TenantURL      string         `json:"tenant_url" example:"https://acme.halopsa.com"`
	Agents         AgentCounts    `json:"agents"`
	LastDeliveryAt *time.Time     `json:"last_delivery_at" doc:"null: none is known"`
	Problems       []string       `json:"problems" doc:"Their codes"`
}

// Tenants is the answer of GET /v1/tenants.
type Tenants struct {
	Tenants []TenantRow `json:"tenants"`
	Next    string      `json:"next" doc:"The cursor of the next page; empty on the last"`
}

// Diagnosis answers the questions of the customer's troubleshooting guide.
type Diagnosis struct {
	Questions []Question `json:"questions" minItems:"3" maxItems:"3"`
}

// The questions of a diagnosis.
const (
	AgentsMissing   = "agents_missing"   // agents are not appearing in the user mapping step
	ActivityMissing = "activity_missing" // ticket activity is not appearing on the timeline
	NoEvents        = "no_events"        // the connection shows as active but no events are coming through
)

// Question is one of them with its answer.
type Question struct {
	ID       string         `json:"id" enum:"agents_missing,activity_missing,no_events"`
	Finding  string         `json:"finding"`
	Facts    map[string]any `json:"facts" doc:"What the finding rests on; more may be added"`
	NextStep string         `json:"next_step"`
}
