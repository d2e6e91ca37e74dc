package halotest

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

func allScopes() []string {
	return []string{
		"read:tickets", "read:customers", "read:assets", "read:contracts",
		"read:projects", "read:kb", "admin:webhooks",
	}
}

// A token carries the permissions of the moment it was issued: a change of the
// role or of the scopes shows only in the next one.
type token struct {
	expires   time.Time
	webhooks  bool // admin:webhooks was asked for and ticked
	seeAgents bool
}

func (s *Sim) authinfo(w http.ResponseWriter, r *http.Request) {
	auth := s.cfg.AuthURL
	if auth == "" {
		scheme := "http://"
		if r.TLS != nil {
			scheme = "https://"
		}
		auth = scheme + r.Host + "/auth/"
	}
	info := map[string]any{"auth_url": auth, "hosted": s.cfg.TenantID != "", "version": "2.214.7", "product": "HaloPSA"}
	if s.cfg.TenantID != "" {
		info["tenant_id"] = s.cfg.TenantID
	}
	reply(w, http.StatusOK, info)
}

// token issues one, or refuses as an OAuth server does.
func (s *Sim) token(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, code, description string) {
		reply(w, status, map[string]string{"error": code, "error_description": description})
	}
	if err := r.ParseForm(); err != nil || r.PostForm.Get("grant_type") != "client_credentials" {
		refuse(http.StatusBadRequest, "unsupported_grant_type", "The grant type is not supported.")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.TenantID != r.URL.Query().Get("tenant") {
		refuse(http.StatusBadRequest, "invalid_request", "The tenant is not known.")
		return
	}
	if r.PostForm.Get("client_id") != s.cfg.ClientID || r.PostForm.Get("client_secret") != s.secret.Reveal() {
		refuse(http.StatusBadRequest, "invalid_client", "The specified client credentials are invalid.")
		return
	}
	webhooks := false
	for scope := range strings.FieldsSeq(r.PostForm.Get("scope")) {
		if !s.ticked[scope] {
			refuse(http.StatusBadRequest, "invalid_scope", "This client application is not allowed to use the specified scope.")
			return
		}
		webhooks = webhooks || scope == "admin:webhooks"
	}
	name := s.issue(webhooks)
	reply(w, http.StatusOK, map[string]any{
		"access_token": name, "token_type": "Bearer", "expires_in": int(s.cfg.TokenLife / time.Second),
	})
}

// issue makes a token. The caller holds the lock.
func (s *Sim) issue(webhooks bool) string {
	name := s.guid() + s.guid()
	s.tokens[name] = token{expires: s.cfg.Now().Add(s.cfg.TokenLife), webhooks: webhooks, seeAgents: !s.agentsDenied}
	s.counters.tokens++
	return name
}

// IssueToken makes a token with all scopes that are ticked, for an answer that a
// [Fault] gives in a form of its own.
func (s *Sim) IssueToken() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issue(s.ticked["admin:webhooks"])
}

// A handler answers a request that came with token t.
type handler func(w http.ResponseWriter, r *http.Request, t token)

func (s *Sim) authorised(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		s.mu.Lock()
		t, ok := s.tokens[name]
		s.mu.Unlock()
		if !ok || !s.cfg.Now().Before(t.expires) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h(w, r, t)
	}
}

func (s *Sim) webhookScope(h handler) http.HandlerFunc {
	return s.authorised(func(w http.ResponseWriter, r *http.Request, t token) {
		if !t.webhooks {
			complain(w, http.StatusForbidden, "You do not have permission to do this.")
			return
		}
		h(w, r, t)
	})
}

// RotateSecret replaces the application's secret. Tokens issued before stay
// good until they expire.
func (s *Sim) RotateSecret(secret schemas.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret = secret
}

// Tick and Untick change the application's scopes, for tokens to come.
func (s *Sim) Tick(scopes ...string) { s.tick(true, scopes) }

// Untick is the opposite of Tick.
func (s *Sim) Untick(scopes ...string) { s.tick(false, scopes) }

func (s *Sim) tick(on bool, scopes []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, scope := range scopes {
		s.ticked[scope] = on
	}
}

// ExpireTokens makes every token stale at once.
func (s *Sim) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	// A client that has gone away is not the simulation's business.
	_ = json.NewEncoder(w).Encode(body)
}

// complain reports an error in the shape that the API uses most.
func complain(w http.ResponseWriter, status int, message string) {
	reply(w, status, map[string]string{"ClassName": "System.Exception", "Message": message})
}
