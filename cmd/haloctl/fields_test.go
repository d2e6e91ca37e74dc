package main

import (
	"strings"
	"testing"
)

func TestJSONOfSomeFields(t *testing.T) {
	c := newCounter(t)
	for _, step := range []struct{ args, want string }{
		{"agents --json=agent_id,name", `[{"agent_id":2,"name":"Ann"},`},
		{"agents --json agent_id,name", `[{"agent_id":2,"name":"Ann"},`},
		{"agents --json name", `[{"name":"Ann"},`},
		{"--json=agent_id agents --find ann", `[{"agent_id":2}]`},
		{"agents --json reason --find ann", `[{"reason":null}]`}, // left out of the answer, and a field all the same
		{"agents --json agent_id --find nobody", `[]`},
		{"history 2 --json user_id,by", `[{"user_id":"u-2","by":`},
		{"status --json state,tenant", `{"state":"active","tenant":"acme"}`},
		{"explain " + event.String() + " --json=arrivals", `{"arrivals":1}`},
		{"events --json event_id", `[{"event_id":"` + event.String() + `"}]`},
		{"tokens list --json=name " + c.tokens, `[{"name":"operator"}]`},
		// The word behind --json is the command's own.
		{"--json agents --find ann", `{"agents":[{"agent_id":2,`},
		{"history --json 2", `{"intervals":[`},
		{"explain --json " + event.String(), `{"outcome":{`},
		{"agents --json=false --find ann", `AGENT  NAME`},
	} {
		if out := c.desk.want(exitOK, strings.Fields(step.args)...); !strings.HasPrefix(out, step.want) {
			t.Errorf("haloctl %s printed %.200s, want %s", step.args, out, step.want)
		}
	}
	for _, args := range []string{"agents --json id", "agents --json agent_id, --find ann", "agents --json=", "events --json nope", "agents --json id --find nobody", "users nothing --json"} {
		status := exitUsage
		if strings.HasPrefix(args, "users") {
			status = exitFailed // a file of that name
		}
		c.desk.want(status, strings.Fields(args)...)
	}
}
