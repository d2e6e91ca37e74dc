//go:build drill

package endtoend

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"

	"github.com/worksights/halo-connector/internal/prometheustest"
)

// An hour of the rules is a minute of the drill. Thresholds that are seconds of
// a service (a row within 1.5 s) stay what they are.
const drillScale = 60

// drillRate is the edge's rate for a tenant: twice what the busy one sends.
const drillRate = 200

// drill is one fault, caused on the running connector and healed again.
type drill struct {
	fault string
	cause func()
	heal  func()
	// during must fire before the fault is healed, after once it is: what had
	// waited comes through late.
	during, after []string
}

func (d drill) alerts() []string { return slices.Concat(d.during, d.after) }

// phase is a set of faults that are there at once: each alert of theirs has
// its own one.
type phase []drill

func (p phase) each(do func(drill)) {
	for _, d := range p {
		do(d)
	}
}

// TestDrill causes, on the local stack with a real Prometheus, each fault that
// an alert of deploy/prometheus/rules.yml exists for, and wants to see it fire
// and end.
func TestDrill(t *testing.T) {
	rules, err := os.ReadFile("../../../deploy/prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	s := prepareStack(t, "LOG_LEVEL=info", "HEALTH_INTERVAL=1s", fmt.Sprintf("RATE_LIMIT=%d", drillRate))
	disk := smallDisk(t, s.data)
	s.begin(1)
	o := newOutage(s, disk)
	phases := o.phases()
	everyAlertHasADrill(t, string(rules), phases)

	phases = named(t, phases)

	targets := map[string]string{"halo-local": s.addr(9090)}
	for i, stage := range []string{"ingest", "processor", "sink", "connect"} {
		targets["halo-"+stage] = s.addr(9101 + i)
	}
	w := watchAlerts(t, prometheustest.Start(t, prometheustest.Config{
		Interval: 500 * time.Millisecond, Lookback: 5 * time.Minute / drillScale, Rules: scaled(t, string(rules)), Targets: targets,
	}))
	o.load = o.busy.underLoad(5, 100*time.Millisecond)
	defer o.load.stop()

	w.calm()
	for _, p := range phases {
		w.run(p)
	}
	await(t, 8*time.Minute, "all alerts end", func() error {
		if names := w.firing(); len(names) > 0 {
			return fmt.Errorf("these still fire: %v", names)
		}
		return nil
	})
	t.Log(w.report(phases))
}

var only = flag.String("fault", "", "the drill causes only the faults whose alerts match this expression")

// named are the phases with a fault that was asked for, all where none was.
func named(t *testing.T, phases []phase) (some []phase) {
	t.Helper()
	wanted, err := regexp.Compile(*only)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range phases {
		if p = slices.DeleteFunc(p, func(d drill) bool { return !slices.ContainsFunc(d.alerts(), wanted.MatchString) }); len(p) > 0 {
			some = append(some, p)
		}
	}
	if len(some) == 0 {
		t.Fatalf("no alert is like %q", *only)
	}
	return some
}

// everyAlertHasADrill holds the phases to the rules, both ways.
func everyAlertHasADrill(t *testing.T, rules string, phases []phase) {
	t.Helper()
	var known, drilled []string
	for _, m := range regexp.MustCompile(`(?m)^ *- alert: (\w+)$`).FindAllStringSubmatch(rules, -1) {
		known = append(known, m[1])
	}
	for _, p := range phases {
		p.each(func(d drill) { drilled = append(drilled, d.alerts()...) })
	}
	slices.Sort(known)
	slices.Sort(drilled)
	if !slices.Equal(known, drilled) {
		t.Fatalf("the rules have the alerts\n%v, and there are drills of\n%v", known, drilled)
	}
}

// A duration of the rules: a range, how long a condition must hold, or one of
// the thresholds that are minutes of waiting, in seconds.
var ruleTime = regexp.MustCompile(`(\[|\bfor: |halo_consumer_lag_seconds\) > |time\(\) - |last_delivery_timestamp_seconds\) < |process_start_time_seconds\{[^}]*\} < )(\d+)([smhd]?)`)

// scaled are the rules with all durations in the scale of the drill.
func scaled(t *testing.T, rules string) string {
	t.Helper()
	units := map[string]time.Duration{"": time.Second, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
	thresholds := 0
	rules = ruleTime.ReplaceAllStringFunc(rules, func(found string) string {
		m := ruleTime.FindStringSubmatch(found)
		n, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		d := time.Duration(n) * units[m[3]] / drillScale
		if m[3] == "" {
			thresholds++
			return m[1] + strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
		}
		return fmt.Sprintf("%s%dms", m[1], d.Milliseconds())
	})
	if thresholds != 5 {
		t.Fatalf("%d thresholds of the rules are minutes of waiting, want the 5 that are known", thresholds)
	}
	return rules
}

// watch knows which alerts fire, and what became of each.
type watch struct {
	t   testing.TB
	api v1.API

	mu      sync.Mutex
	now     map[string]bool
	began   int // how often one began to fire
	courses map[string]*course
}

// course is what became of an alert, from its fault on; zero where it has not.
type course struct{ caused, fired, healed, ended time.Time }

func watchAlerts(t testing.TB, api v1.API) *watch {
	w := &watch{t: t, api: api, now: map[string]bool{}, courses: map[string]*course{}}
	var watching sync.WaitGroup
	watching.Go(func() {
		for t.Context().Err() == nil {
			w.look()
			pause(t, 200*time.Millisecond)
		}
	})
	t.Cleanup(watching.Wait)
	return w
}

// look asks Prometheus once.
func (w *watch) look() {
	result, err := w.api.Alerts(w.t.Context())
	if err != nil {
		if w.t.Context().Err() == nil {
			w.t.Errorf("asking Prometheus for alerts: %v", err)
		}
		return
	}
	now, at := map[string]bool{}, time.Now()
	for _, a := range result.Alerts {
		if a.State == v1.AlertStateFiring {
			now[string(a.Labels["alertname"])] = true
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for name := range now {
		if !w.now[name] {
			w.began++
			w.t.Logf("%s fires", name)
		}
		if c := w.courses[name]; c != nil && c.fired.IsZero() {
			c.fired = at
		}
	}
	for name := range w.now {
		if !now[name] {
			w.t.Logf("%s ends", name)
			if c := w.courses[name]; c != nil && !c.healed.IsZero() && c.ended.IsZero() {
				c.ended = at
			}
		}
	}
	w.now = now
}

// calm lets the first scrapes and the first rows come, and then wants no alert
// while nothing is wrong: for longer than the forty minutes for which a rule
// looks away after a start.
func (w *watch) calm() {
	w.t.Helper()
	const long = 45 * time.Second
	pause(w.t, long/3)
	await(w.t, time.Minute, "quiet after the start", func() error {
		if names := w.firing(); len(names) > 0 {
			return fmt.Errorf("these fire: %v", names)
		}
		return nil
	})
	w.mu.Lock()
	before := w.began
	w.mu.Unlock()
	pause(w.t, long)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.began != before {
		w.t.Fatal("nothing is wrong, and an alert fired")
	}
	w.t.Logf("%v of traffic and no alert", long)
}

// firing are the alerts that fire now.
func (w *watch) firing() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.now))
}

// run causes the faults of a phase together, wants their alerts, heals them,
// and wants the alerts to end: those of a slow burn at the end of the drill.
func (w *watch) run(p phase) {
	w.t.Helper()
	await(w.t, 3*time.Minute, "quiet before a fault", func() error {
		for _, name := range w.firing() {
			if !slow(name) {
				return fmt.Errorf("%s fires", name)
			}
		}
		return nil
	})
	p.each(func(d drill) { w.t.Logf("FAULT: %s", d.fault) })
	w.note(p, func(c *course) { c.caused = time.Now() })
	p.each(func(d drill) { d.cause() })
	p.each(func(d drill) { w.wait("fires", d.during) })
	w.note(p, func(c *course) { c.healed = time.Now() })
	p.each(func(d drill) { d.heal() })
	w.t.Log("healed")
	p.each(func(d drill) { w.wait("fires", d.after) })
	p.each(func(d drill) {
		w.wait("ends", slices.DeleteFunc(d.alerts(), slow))
	})
}

// note writes into the courses of a phase's alerts.
func (w *watch) note(p phase, write func(*course)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.each(func(d drill) {
		for _, name := range d.alerts() {
			if w.courses[name] == nil {
				w.courses[name] = &course{}
			}
			write(w.courses[name])
		}
	})
}

// slow are alerts that end hours after the fault.
func slow(name string) bool { return strings.HasSuffix(name, "Slow") }

// wait waits until alerts have fired, or have ended.
func (w *watch) wait(what string, names []string) {
	w.t.Helper()
	for _, name := range names {
		await(w.t, 3*time.Minute, name+" "+what, func() error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if what == "fires" && w.courses[name].fired.IsZero() || what == "ends" && w.now[name] {
				return fmt.Errorf("these fire: %v", slices.Sorted(maps.Keys(w.now)))
			}
			return nil
		})
	}
}

// report is a line for each alert.
func (w *watch) report(phases []phase) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out strings.Builder
	alerts := 0
	for _, p := range phases {
		p.each(func(d drill) {
			fmt.Fprintf(&out, "\n%s\n", d.fault)
			for _, name := range d.alerts() {
				alerts++
				c := w.courses[name]
				ended := "ended before the repair"
				if !c.ended.IsZero() {
					ended = fmt.Sprintf("ended %5.1f s after the repair", c.ended.Sub(c.healed).Seconds())
				}
				fmt.Fprintf(&out, "  %-26s fired after %5.1f s, %s\n", name, c.fired.Sub(c.caused).Seconds(), ended)
			}
		})
	}
	return fmt.Sprintf("all %d alerts fired and ended; a minute of the rules is a second here\n%s", alerts, out.String())
}
