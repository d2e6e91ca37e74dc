package halotest

import (
	"maps"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// Counters say what the tenant has seen and done so far.
type Counters struct {
	Requests map[string]int // by endpoint: "authinfo", "token", "Agent", …
	Tokens   int            // issued

	// Busiest is the highest number of requests in any five minutes.
	Busiest int

	Occurrences map[schemas.Kind]int
	Deliveries  int
	Answers     map[int]int // deliveries by the status answered, 0 for none
}

// Total is the number of requests to all endpoints.
func (c Counters) Total() int {
	n := 0
	for _, of := range c.Requests {
		n += of
	}
	return n
}

type counters struct {
	requests    map[string]int
	at          []time.Time // of each request in the last five minutes
	busiest     int
	tokens      int
	occurrences map[schemas.Kind]int
	answers     map[int]int
}

func newCounters() counters {
	return counters{
		requests: make(map[string]int), occurrences: make(map[schemas.Kind]int), answers: make(map[int]int),
	}
}

func (c *counters) request(endpoint string, now time.Time) {
	c.requests[endpoint]++
	c.at = append(c.at, now)
	for now.Sub(c.at[0]) >= 5*time.Minute {
		c.at = c.at[1:]
	}
	c.busiest = max(c.busiest, len(c.at))
}

func (c *counters) answer(d Delivery) { c.answers[d.Status]++ }

// Counters returns what was counted so far.
func (s *Sim) Counters() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Counters{
		Requests: maps.Clone(s.counters.requests), Tokens: s.counters.tokens, Busiest: s.counters.busiest,
		Occurrences: maps.Clone(s.counters.occurrences), Answers: maps.Clone(s.counters.answers),
	}
	for _, n := range out.Answers {
		out.Deliveries += n
	}
	return out
}
