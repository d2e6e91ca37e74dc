package halotest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/worksights/halo-connector/schemas"
)

// Traffic lets a tenant have a working day: tickets are opened, noted, answered,
// moved and closed by agents who are neither disabled nor machines.
type Traffic struct {
	Sim *Sim

	// Concurrent is how many deliveries may be under way at once; 0 is 8.
	Concurrent int

	// Days makes the traffic that of a working day by the tenant's clock: most in
	// the middle of the day, little at night and at weekends. perSecond is then
	// that of the busiest hour.
	Days bool

	// Repeats is the share of deliveries that come again, some of them at the
	// same time; 0 is none.
	Repeats float64
}

// maxOpen is how many tickets are worked on at once; beyond it the oldest is
// closed.
const maxOpen = 200

// Run makes about perSecond things happen each second, at irregular intervals,
// until ctx is done, and then returns nil when the last delivery was answered.
// Where deliveries are answered too slowly it falls behind instead of piling
// up. An answer that is not a success is counted by the Sim and is no error:
// Halo does not stop for it either.
func (t Traffic) Run(ctx context.Context, perSecond float64) error {
	if perSecond <= 0 {
		return fmt.Errorf("simulated HaloPSA: a rate of %v a second", perSecond)
	}
	concurrent := t.Concurrent
	if concurrent == 0 {
		concurrent = 8
	}
	slots := make(chan struct{}, concurrent)
	day := &day{traffic: t}
	var wg sync.WaitGroup
	defer wg.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			rate := perSecond
			if t.Days {
				rate *= busy(t.Sim.cfg.Now())
			}
			timer.Reset(t.Sim.gap(rate))
		case <-ctx.Done():
			return nil
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		wg.Go(func() {
			defer func() { <-slots }()
			// What has happened is delivered even when the day ends meanwhile.
			day.step(context.WithoutCancel(ctx))
		})
	}
}

// gap is the time to the next event, of a stream that averages perSecond.
func (s *Sim) gap(perSecond float64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration(s.random.ExpFloat64() / perSecond * float64(time.Second))
}

// A day is the tickets that are being worked on.
type day struct {
	traffic Traffic

	mu   sync.Mutex
	open []uint64
}

// step lets one thing happen. Of twenty, five are new tickets, six notes by
// agents, four replies by end users, three changes of status and two closes.
func (d *day) step(ctx context.Context) {
	sim := d.traffic.Sim
	dice, agent := sim.draw()
	ticket, ok := d.choose(dice)
	var ds Deliveries
	switch of := dice % 20; {
	case !ok || of < 5:
		assignee := agent
		if dice/20%10 == 0 {
			assignee = 1 // nobody has picked it up yet
		}
		ticket, ds = sim.NewTicket(ctx, assignee)
		d.mu.Lock()
		d.open = append(d.open, ticket)
		d.mu.Unlock()
	case of < 11:
		ds = sim.UpdateByAgent(ctx, ticket, agent)
	case of < 15:
		ds = sim.UpdateByUser(ctx, ticket)
	case of < 18:
		ds = sim.ChangeStatus(ctx, ticket, agent)
	default:
		d.leave(ticket)
		ds = sim.Close(ctx, ticket, agent)
	}
	if share := d.traffic.Repeats; len(ds) > 0 && float64(dice/20%1000) < share*1000 {
		sim.ResendAtOnce(ctx, ds[0], 1+int(dice/20000%3))
	}
	if oldest, many := d.crowded(); many {
		sim.Close(ctx, oldest, agent)
	}
}

// draw throws the dice and names an agent; 1, "Unassigned", where none works.
func (s *Sim) draw() (dice uint64, agent schemas.AgentID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var working []schemas.AgentID
	for _, a := range s.agents {
		if !a.Disabled && !a.API {
			working = append(working, a.ID)
		}
	}
	if len(working) == 0 {
		return s.random.Uint64(), 1
	}
	return s.random.Uint64(), pick(s, working)
}

func (d *day) choose(dice uint64) (ticket uint64, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.open) == 0 {
		return 0, false
	}
	return d.open[dice/20%uint64(len(d.open))], true
}

func (d *day) leave(ticket uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = slices.DeleteFunc(d.open, func(t uint64) bool { return t == ticket })
}

// crowded takes the oldest ticket off a list that has grown too long.
func (d *day) crowded() (oldest uint64, many bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.open) <= maxOpen {
		return 0, false
	}
	oldest, d.open = d.open[0], d.open[1:]
	return oldest, true
}
