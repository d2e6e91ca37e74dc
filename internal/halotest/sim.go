// Package halotest simulates a HaloPSA tenant: the part of its REST API that a
// connection uses, and the deliveries that its webhooks send.
//
// It promises to behave as tenants have been seen to behave, in the details
// that have cost integrations their evenings: events in a webhook's body are
// dropped, pages end at 50 rows, permissions are baked into tokens, a role that
// is wrong shows as an empty list, a webhook that was deleted may still
// deliver. And it misbehaves on command; see [Sim.Inject] and the methods beside
// it.
//
// It knows nothing of this module's client, so that the two cannot agree on a
// mistake. Tickets and actions carry full lifelike content, because content
// that is never sent cannot be found to have leaked. No person in it is real.
//
// A [Sim] is one tenant. It costs a few kilobytes and, once started, one
// listener: hundreds may run in one process.
package halotest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// Config is one simulated tenant. The zero value of each field is a hosted
// tenant in good order, except for the credentials, which must be given.
type Config struct {
	ClientID     string
	ClientSecret schemas.Secret

	// TenantID is what authinfo names, and what a token request must then name
	// too. Empty is an on-premise instance.
	TenantID string

	// AuthURL is what authinfo gives for auth_url; empty is this host's /auth.
	AuthURL string

	Scopes    []string      // those that are ticked; nil is all seven
	TokenLife time.Duration // 0 is an hour

	// The tenant's own words for a ticket and an agent, as they appear in the
	// display names of deliveries; empty is "ticket" and "agent".
	Ticket, Agent string

	Objects       bool // lists are {"agents":[…],"record_count":n} instead of arrays
	ObjectReplies bool // a POST is answered with an object instead of an array
	StringIDs     bool // numeric ids come as strings
	BareEvents    bool // a webhook's events come without their notifications' ids
	IgnorePaging  bool // all agents come at once, whatever page is asked for
	PageCap       int  // the most rows that one page has; 0 is 50
	ListCap       int  // the most rows of a list that is asked for without pages; 0 is all
	Overcount     int  // by how much record_count is more than the rows there are
	Lookups       int  // rows of other lookups before those of the events
	SlashURLs     bool // a webhook's address is kept with a slash at its end

	// AutoDisable switches a webhook off after that many failed deliveries in
	// a row; 0 is never.
	AutoDisable int

	Client *http.Client     // sends the deliveries; nil is one with a time-out of 10 s
	Now    func() time.Time // nil is time.Now

	// Seed makes ids and texts repeatable; 0 draws one, so that a simulation
	// started again does not repeat the ids of its former life.
	Seed uint64
}

// Sim is one simulated tenant. It is an [http.Handler], and safe for concurrent
// use.
type Sim struct {
	cfg    Config
	mux    *http.ServeMux
	client *http.Client

	mu            sync.Mutex
	random        *rand.Rand
	secret        schemas.Secret
	ticked        map[string]bool
	tokens        map[string]token
	agents        []Agent
	agentsHidden  bool
	agentsDenied  bool
	webhooks      map[string]*webhook
	notifications map[int64]*notification
	nextID        int64
	tickets       map[uint64]*ticket
	nextTicket    uint64
	holding       bool
	held          map[string][]envelope
	log           []Delivery
	faults        []*injected
	counters      counters
}

// New returns a tenant without agents, tickets and webhooks.
func New(cfg Config) *Sim {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.TokenLife == 0 {
		cfg.TokenLife = time.Hour
	}
	if cfg.Ticket == "" {
		cfg.Ticket = "ticket"
	}
	if cfg.Agent == "" {
		cfg.Agent = "agent"
	}
	if cfg.PageCap == 0 {
		cfg.PageCap = 50
	}
	if cfg.Scopes == nil {
		cfg.Scopes = allScopes()
	}
	if cfg.Seed == 0 {
		cfg.Seed = rand.Uint64()
	}
	s := &Sim{
		cfg: cfg, client: cfg.Client,
		random:        rand.New(rand.NewPCG(cfg.Seed, 0)),
		secret:        cfg.ClientSecret,
		ticked:        make(map[string]bool),
		tokens:        make(map[string]token),
		webhooks:      make(map[string]*webhook),
		notifications: make(map[int64]*notification),
		nextID:        40,
		tickets:       make(map[uint64]*ticket),
		nextTicket:    1000,
		held:          make(map[string][]envelope),
		counters:      newCounters(),
	}
	for _, scope := range cfg.Scopes {
		s.ticked[scope] = true
	}
	if s.client == nil {
		s.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	}
	s.mux = http.NewServeMux()
	s.route("GET /api/authinfo", "authinfo", s.authinfo)
	s.route("POST /auth/token", "token", s.token)
	s.route("GET /api/Agent", "Agent", s.authorised(s.listAgents))
	s.route("GET /api/Lookup", "Lookup", s.authorised(s.listLookups))
	s.route("GET /api/Webhook", "Webhook", s.webhookScope(s.listWebhooks))
	s.route("POST /api/Webhook", "Webhook", s.webhookScope(s.saveWebhooks))
	s.route("GET /api/Webhook/{id}", "Webhook", s.webhookScope(s.getWebhook))
	s.route("DELETE /api/Webhook/{id}", "Webhook", s.webhookScope(s.deleteWebhook))
	s.route("GET /api/Notification", "Notification", s.webhookScope(s.listNotifications))
	s.route("POST /api/Notification", "Notification", s.webhookScope(s.saveNotifications))
	s.route("DELETE /api/Notification/{id}", "Notification", s.webhookScope(s.deleteNotification))
	return s
}

// ServeHTTP is the tenant's REST API.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// route counts the requests of an endpoint and lets faults answer first.
func (s *Sim) route(pattern, endpoint string, h http.HandlerFunc) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.counters.request(endpoint, s.cfg.Now())
		fault := s.takeFault(endpoint, r.Method)
		s.mu.Unlock()
		if fault != nil && fault(w, r) {
			return
		}
		h(w, r)
	})
}

// Server is a tenant that listens.
type Server struct {
	URL string // http://host:port

	server *http.Server
	served chan error
}

// Start serves the tenant on addr, such as "127.0.0.1:8090", or
// "127.0.0.1:0" for a port of the system's choice. The caller closes it.
func (s *Sim) Start(addr string) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("simulated HaloPSA: %w", err)
	}
	server := &Server{
		URL:    "http://" + l.Addr().String(),
		server: &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second},
		served: make(chan error, 1),
	}
	go func() { server.served <- server.server.Serve(l) }()
	return server, nil
}

// Close stops listening and waits up to ten seconds for requests under way.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := errors.Join(s.server.Shutdown(ctx), s.server.Close())
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// guid draws an id. The caller holds the lock.
func (s *Sim) guid() string {
	a, b := s.random.Uint64(), s.random.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0x3fff|0x8000, b&0xffffffffffff)
}
