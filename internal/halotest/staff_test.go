package halotest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

func TestAStaffIsLifelikeAndNobody(t *testing.T) {
	staff := halotest.Staff(119)
	names, ids := make(map[string]bool), make(map[schemas.AgentID]bool)
	without, left, programs, users, elsewhere := 0, 0, 0, 0, 0
	for _, a := range staff {
		if names[a.Name] || ids[a.ID] || a.ID < 2 || len(strings.Fields(a.Name)) < 2 {
			t.Errorf("%+v", a)
		}
		names[a.Name], ids[a.ID] = true, true
		if a.Email != "" && !strings.HasSuffix(a.Email, ".example") {
			t.Errorf("%s has an address that may be somebody's: %s", a.Name, a.Email)
		}
		if id, email, ok := halotest.UserOf(a); ok {
			if users++; id == "" || !strings.HasSuffix(email, ".example") {
				t.Errorf("%s is %q, %q", a.Name, id, email)
			}
			if email != a.Email {
				elsewhere++
			}
		}
		if a.Email == "" {
			without++
		}
		if a.Disabled {
			left++
		}
		if a.API {
			programs++
		}
	}
	if len(staff) != 119 || without < 3 || left < 3 || programs != 2 || users < 90 || users > 115 || elsewhere < 5 {
		t.Errorf("%d agents: %d without an e-mail, %d left, %d programs, %d users, %d of them elsewhere", len(staff), without, left, programs, users, elsewhere)
	}
}

func TestAFastClockCatchesUpAndNeverRunsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := halotest.NewClock(30*24*time.Hour, 60*24)
		if c.Now() != start.Add(-30*24*time.Hour) {
			t.Errorf("begins at %v", c.Now())
		}
		if time.Sleep(10 * time.Minute); c.Now() != start.Add(-20*24*time.Hour).Add(0) {
			t.Errorf("after ten minutes it shows %v", c.Now())
		}
		if time.Sleep(time.Hour); c.Now() != time.Now() {
			t.Errorf("after an hour it shows %v, and it is %v", c.Now(), time.Now())
		}
	})
}

func TestTheTestButtonIsAnEmptyPostThatStandsInNoLog(t *testing.T) {
	var bodies []string
	edge := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, password, _ := r.BasicAuth()
		bodies = append(bodies, r.Method+" "+user+" "+password+" "+string(body))
	}))
	defer edge.Close()
	sim := halotest.New(halotest.Config{ClientID: "c", ClientSecret: "s"})
	hook := sim.AddWebhook(halotest.Webhook{URL: edge.URL, Username: "u", Password: "p", Active: true})
	status, err := sim.Test(context.Background(), hook)
	if err != nil || status != 200 || len(bodies) != 1 || bodies[0] != "POST u p " || len(sim.Log()) != 0 {
		t.Errorf("%d, %v, %q, %d in the log", status, err, bodies, len(sim.Log()))
	}
	sim.Bind(hook, 3)
	ticket, _ := sim.NewTicket(context.Background(), 2)
	log := sim.Log()
	if len(log) != 1 || log[0].Ticket != ticket || log[0].Status != 200 {
		t.Fatalf("the log is %+v", log)
	}
	if d := sim.Resend(context.Background(), log[0]); d.Status != 200 || len(sim.Log()) != 2 || len(bodies) != 3 {
		t.Errorf("sent again: %+v", d)
	}
}
