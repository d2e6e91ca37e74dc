// Command desktest is a simulated HaloPSA for the console's journey: sixty
// agents, of whom ten are matched by e-mail, thirty can be guessed, ten are no
// persons, and ten nobody knows.
//
// It prints a line of JSON with its address and credentials and the users for
// WorkSights, and then does what it reads line by line: "agent ID" lets an agent
// open and update a ticket, "off" switches the webhook off as a person would.
// Each is answered with a line.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/worksights/halo-connector/internal/halotest"
	"github.com/worksights/halo-connector/schemas"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type user struct {
	ID    string `json:"user_id"`
	Email string `json:"email"`
}

func run() error {
	sim := halotest.New(halotest.Config{ClientID: "console-journey", ClientSecret: "a secret of the simulated desk", Seed: 1})
	server, err := sim.Start("127.0.0.1:0")
	if err != nil {
		return err
	}
	defer server.Close()
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(map[string]any{"url": server.URL, "client_id": "console-journey", "client_secret": "a secret of the simulated desk", "users": staff(sim)}); err != nil {
		return err
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if err := out.Encode(do(context.Background(), sim, lines.Text())); err != nil {
			return err
		}
	}
	return nil
}

// staff adds the agents and returns the users.
func staff(sim *halotest.Sim) []user {
	first := strings.Fields("Amara Ben Chloe Dmitri Emeka Farah Grace Hugo Ines Jonas")
	last := strings.Fields("Osei Castellanos Duval Petrov Nwosu")
	var users []user
	for i := range 60 {
		name := first[i%10] + " " + last[i%50/10]
		local := strings.ToLower(strings.ReplaceAll(name, " ", "."))
		agent := halotest.Agent{ID: schemas.AgentID(2 + i), Name: name, Email: local + "@desk.example"}
		if i < 50 {
			users = append(users, user{fmt.Sprintf("u-%02d", i), local + "@worksights.example"})
		}
		switch {
		case i < 10:
			agent.Email = local + "@worksights.example" // the same in both
		case i >= 50:
			agent.Name, agent.Email = fmt.Sprintf("Queue %d", i-49), ""
		case i >= 40:
			agent.Name, agent.Email = fmt.Sprintf("Trainee %d", i-39), fmt.Sprintf("trainee%d@desk.example", i-39)
		}
		sim.AddAgent(agent)
	}
	return users
}

func do(ctx context.Context, sim *halotest.Sim, line string) map[string]any {
	var agent schemas.AgentID
	switch _, err := fmt.Sscanf(line, "agent %d", &agent); {
	case err == nil:
		ticket, sent := sim.NewTicket(ctx, agent)
		return map[string]any{"ticket": ticket, "status": []int{sent.Status(), sim.UpdateByAgent(ctx, ticket, agent).Status()}}
	case line == "off":
		n := 0
		for _, w := range sim.Webhooks() {
			if !w.Deleted {
				sim.ChangeWebhook(w.ID, func(w *halotest.Webhook) { w.Active = false })
				n++
			}
		}
		return map[string]any{"off": n}
	}
	return map[string]any{"error": "no such thing: " + line}
}
