package control

import (
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// Activity is a row of the view activities.
type Activity struct {
	ID         string             `json:"activity_id" format:"uuid"`
	Tenant     schemas.Tenant     `json:"tenant_id"`
	User       schemas.UserID     `json:"user_id"`
	Category   string             `json:"category" enum:"Ticket"`
	Kind       schemas.Kind       `json:"kind" enum:"ticket_logged,status_changed,updated_by_agent,updated_by_user"`
	Weight     float32            `json:"weight" minimum:"0" maximum:"1"`
	Ticket     uint64             `json:"ticket_id"`
	Agent      schemas.AgentID    `json:"agent_id"`
	CreditedAs schemas.CreditedAs `json:"credited_as" enum:"actor,assignee,envelope"`
	ActorType  schemas.ActorType  `json:"actor_type" enum:"agent,end_user,system," doc:"Who acted; empty where Halo does not say"`
	Status     int32              `json:"status_id" doc:"Halo's, which is per tenant; 0 where there is none"`
	OccurredAt time.Time          `json:"occurred_at"`
	ReceivedAt time.Time          `json:"received_at"`
}

// Timeline is the answer of GET /timeline, newest first.
type Timeline struct {
	Activities []Activity `json:"activities"`
	Next       string     `json:"next" doc:"The cursor of the next page; empty on the last"`
}

// The outcomes of an event.
const (
	OutcomeActivity = "activity"
	OutcomeSkip     = "skip"
)

// Event is an event and what became of it. Each member is in each row, "" or 0
// where it has none.
type Event struct {
	Outcome    string             `json:"outcome" enum:"activity,skip"`
	ID         string             `json:"event_id" format:"uuid"`
	Kind       schemas.Kind       `json:"kind" enum:"ticket_logged,status_changed,updated_by_agent,updated_by_user," doc:"Empty where it is not known"`
	Ticket     uint64             `json:"ticket_id"`
	Agent      schemas.AgentID    `json:"agent_id" doc:"The credited agent; 0 where nobody"`
	User       schemas.UserID     `json:"user_id"`
	Reason     schemas.Reason     `json:"reason" enum:"unmapped,unassigned,unknown_kind,stale_webhook,undecodable," doc:"Why it made no activity"`
	Weight     float32            `json:"weight" minimum:"0" maximum:"1"`
	CreditedAs schemas.CreditedAs `json:"credited_as" enum:"actor,assignee,envelope,"`
	ActorType  schemas.ActorType  `json:"actor_type" enum:"agent,end_user,system,"`
	Status     int32              `json:"status_id"`
	OccurredAt time.Time          `json:"occurred_at"`
	ReceivedAt time.Time          `json:"received_at"`
}

// Events is the answer of GET /events, newest arrival first.
type Events struct {
	Events []Event `json:"events"`
	Next   string  `json:"next" doc:"The cursor of the next page; empty on the last"`
}

// Explanation is the answer of GET /events/{event}: what became of one event,
// and why.
type Explanation struct {
	Outcome         Event          `json:"outcome"`
	Arrivals        int            `json:"arrivals" minimum:"1" doc:"How often it arrived. A repeat that came long after the first may be missing from it"`
	FirstReceivedAt time.Time      `json:"first_received_at"`
	Facts           *schemas.Event `json:"facts" doc:"The event as Kafka still has it; null where its retention has passed"`
	Mapping         *MappingAt     `json:"mapping" doc:"null where no agent was found"`
	Why             []string       `json:"why" doc:"In sentences"`
}

// MappingAt is the history by which an event was judged.
type MappingAt struct {
	Agent     schemas.AgentID `json:"agent"`
	Intervals []Interval      `json:"intervals" doc:"All of the agent's, newest first"`
	At        time.Time       `json:"at" doc:"The event's arrival"`
}

// Delivery is one that was refused or undecodable.
type Delivery struct {
	At     time.Time `json:"at"`
	Result string    `json:"result" enum:"malformed,too_large,rate_limited,unavailable,unauthorized,undecodable"`
	Items  int       `json:"items" minimum:"0"`
	Bytes  int64     `json:"bytes" minimum:"0"`
	Fields []string  `json:"fields" doc:"Names of the vendor's known vocabulary that were met"`
}

// Deliveries is the answer of GET /deliveries, newest first.
type Deliveries struct {
	Deliveries []Delivery `json:"deliveries"`
}

// Summary is the answer of GET /summary, for plots.
type Summary struct {
	ByDay         []DayCount   `json:"by_day" doc:"Days without activity are left out"`
	ByHour        [7][24]int64 `json:"by_hour" doc:"Activities by weekday, from Monday, and hour of the zone"`
	Coverage      Coverage     `json:"coverage"`
	Users         []UserCount  `json:"users" doc:"By score, at most 100"`
	AgentsSkipped []AgentCount `json:"agents_skipped" doc:"Agents whose events were skipped as unmapped, by events, at most 100"`
}

// DayCount is what happened on one day of the zone.
type DayCount struct {
	Day    string       `json:"day" format:"date"`
	Kind   schemas.Kind `json:"kind" enum:"ticket_logged,status_changed,updated_by_agent,updated_by_user"`
	Events int64        `json:"events" minimum:"0"`
	Score  float64      `json:"score" minimum:"0" doc:"Sum of the weights"`
}

// Coverage says how many events became activities, and why the others did not.
type Coverage struct {
	Events     int64                    `json:"events" minimum:"0" doc:"Activities and all skips"`
	Activities int64                    `json:"activities" minimum:"0"`
	Skipped    map[schemas.Reason]int64 `json:"skipped" doc:"By reason"`
}

// UserCount is what a user did.
type UserCount struct {
	UserID schemas.UserID `json:"user_id"`
	Events int64          `json:"events" minimum:"0"`
	Score  float64        `json:"score" minimum:"0"`
	LastAt time.Time      `json:"last_at"`
}

// AgentCount is how many events of an agent were skipped.
type AgentCount struct {
	AgentID schemas.AgentID `json:"agent_id"`
	Events  int64           `json:"events" minimum:"0"`
	LastAt  time.Time       `json:"last_at"`
}

// Change is an entry of the audit trail. Each member is in each entry, "" or 0
// where it has none.
type Change struct {
	ID      string          `json:"id"`
	Tenant  schemas.Tenant  `json:"tenant"`
	At      time.Time       `json:"at"`
	By      string          `json:"by" doc:"A token's name, or connector"`
	Change  string          `json:"change" example:"map" doc:"What was done: connect, refresh, reconnect, disconnect, map, unmap, ignore, automatic, users or erase. Or what happened: state, problem_opened, problem_closed or repaired. More may be added"`
	Agent   schemas.AgentID `json:"agent"`
	User    schemas.UserID  `json:"user" doc:"Empty where the user was erased since"`
	State   string          `json:"state" doc:"The state that the connection went into"`
	Problem string          `json:"problem" doc:"The code of the problem that was opened, closed or repaired"`
	Result  string          `json:"result" example:"ok" doc:"ok, or the code with which it was refused"`
}

// Changes is the answer of GET /changes, newest first.
type Changes struct {
	Changes []Change `json:"changes"`
	Next    string   `json:"next" doc:"The cursor of the next page; empty on the last"`
}
