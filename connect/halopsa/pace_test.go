package halopsa_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/internal/halotest"
)

// inBubble runs a test in which time passes only when everybody waits, with a
// tenant that is reached over pipes. connect returns a new client of it.
func inBubble(t *testing.T, run func(t *testing.T, sim *halotest.Sim, connect func(*halopsa.Budget) *halopsa.Client)) {
	inBubbleOf(t, halotest.Config{}, run)
}

func inBubbleOf(t *testing.T, cfg halotest.Config, run func(t *testing.T, sim *halotest.Sim, connect func(*halopsa.Budget) *halopsa.Client)) {
	cfg.ClientID, cfg.ClientSecret, cfg.Seed = clientID, clientSecret, 1
	synctest.Test(t, func(t *testing.T) {
		sim := halotest.New(cfg)
		sim.AddAgent(halotest.Agent{Name: "Ada Agent"})
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		server := &http.Server{Handler: sim}
		served := make(chan struct{})
		go func() { defer close(served); _ = server.Serve(l) }()
		defer func() { server.Close(); <-served }()
		run(t, sim, func(b *halopsa.Budget) *halopsa.Client {
			client := newClient(t, "http://127.0.0.1", func(c *halopsa.Config) { c.Budget = b })
			client.DialWith(l.dial)
			return client
		})
	})
}

// pipes is a listener without a network.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func TestATenantIsAskedAtMost300TimesInFiveMinutesByAllClientsTogether(t *testing.T) {
	inBubble(t, func(t *testing.T, sim *halotest.Sim, connect func(*halopsa.Budget) *halopsa.Client) {
		var limits halopsa.Limits
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		for range 4 {
			client := connect(limits.Of("acme"))
			wg.Go(func() {
				for client.Authenticate(ctx) == nil {
				}
			})
		}
		wg.Wait()
		busiest, total := sim.Counters().Busiest, sim.Counters().Total()
		if busiest > 300 {
			t.Errorf("%d requests in five minutes", busiest)
		}
		if busiest < 290 || total < 700 {
			t.Errorf("%d requests in the busiest five minutes, %d in all: the clients asked too little to prove anything", busiest, total)
		}
	})
}

func TestTenantsDoNotShareABudget(t *testing.T) {
	var limits halopsa.Limits
	acme := limits.Of("acme")
	if limits.Of("acme") != acme || limits.Of("other") == acme {
		t.Error("budgets are mixed up")
	}
}

// at notes when requests come.
func at(times *[]time.Duration, start time.Time, then halotest.Fault) halotest.Fault {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		*times = append(*times, time.Since(start))
		mu.Unlock()
		return then(w, r)
	}
}

func seconds(of ...int) []time.Duration {
	ds := make([]time.Duration, len(of))
	for i, s := range of {
		ds[i] = time.Duration(s) * time.Second
	}
	return ds
}

func TestPausesDoubleFromFiveSecondsToSixtyWhereHaloNamesNone(t *testing.T) {
	for _, endpoint := range []string{"authinfo", "token", "Agent"} {
		t.Run(endpoint, func(t *testing.T) {
			inBubble(t, func(t *testing.T, sim *halotest.Sim, connect func(*halopsa.Budget) *halopsa.Client) {
				var asked []time.Duration
				sim.Inject(endpoint, -1, at(&asked, time.Now(), halotest.TooMany("")))
				_, err := connect(nil).Agents(t.Context())
				if want := seconds(0, 5, 15, 35, 75, 135); !slices.Equal(asked, want) {
					t.Errorf("asked after %v, want %v", asked, want)
				}
				var e *halopsa.Error
				if !errors.As(err, &e) || e.Cause != halopsa.RateLimited ||
					e.Message != "Halo allows no more requests for the moment." || e.Action == "" {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestThePauseThatHaloNamesIsKept(t *testing.T) {
	for name, header := range map[string]func() string{
		"seconds": func() string { return "17" },
		"a date":  func() string { return time.Now().Add(17 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, sim *halotest.Sim, connect func(*halopsa.Budget) *halopsa.Client) {
				start := time.Now()
				sim.Inject("Agent", 1, halotest.TooMany(header()))
				if _, err := connect(nil).Agents(t.Context()); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took != 17*time.Second {
					t.Errorf("went on after %v", took)
				}
			})
		})
	}
}

func TestAPauseEndsAfterFiveMinutesWhateverHaloNames(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"Fri, 01 Jan 2199 00:00:00 GMT":   5 * time.Minute,
		"1790000000":                      5 * time.Minute,
		"99999999999999999999999999":      5 * time.Minute,
		"301":                             5 * time.Minute,
		"300":                             5 * time.Minute,
		"12.5":                            12500 * time.Millisecond,
		" 17 ":                            17 * time.Second,
		"0":                               5 * time.Second, // ours
		"-3":                              5 * time.Second,
		"NaN":                             5 * time.Second,
		"soon":                            5 * time.Second,
		"Fri, 01 Jan 1999 00:00:00 GMT":   5 * time.Second,
		"Friday, 01-Jan-99 00:00:00 GMT":  5 * time.Second, // an obsolete form
		"2021-01-01T00:00:00Z":            5 * time.Second,
		"1; please":                       5 * time.Second,
		"\t":                              5 * time.Second,
		"Wed, 31 Dec 2199 23:59:60 GMT+1": 5 * time.Second,
	} {
		t.Run(header, func(t *testing.T) {
			inBubble(t, func(t *testing.T, sim *halotest.Sim, connect func(*halopsa.Budget) *halopsa.Client) {
				budget := halopsa.NewBudget()
				sim.Inject("token", 1, halotest.TooMany(header))
				impatient, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				var e *halopsa.Error
				if err := connect(budget).Authenticate(impatient); !errors.As(err, &e) || e.Cause != halopsa.RateLimited || e.RetryAfter != want {
					t.Fatalf("got %v, which says %v", err, e.RetryAfter)
				}
				if err := connect(budget).Authenticate(t.Context()); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took != want {
					t.Errorf("went on after %v, want %v", took, want)
				}
			})
		})
	}
}

func TestTheWordsOfARefusalSayTheTrueWait(t *testing.T) {
	inBubble(t, func(t *testing.T, sim *halotest.Sim, connect func(*halopsa.Budget) *halopsa.Client) {
		client := connect(nil)
		sim.Inject("token", 1, halotest.TooMany("1790000000"))
		for _, step := range []struct {
			later time.Duration
			words string
		}{
			{0, "Try again in 5 minutes."},
			{2*time.Minute + 30*time.Second, "Try again in 3 minutes."},
			{75 * time.Second, "Try again in 75 seconds."},
			{74*time.Second + 900*time.Millisecond, "Try again in a second."},
		} {
			<-time.After(step.later)
			impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			err := client.Authenticate(impatient)
			cancel()
			if e := (*halopsa.Error)(nil); !errors.As(err, &e) || !strings.HasPrefix(e.Action, step.words) {
				t.Errorf("got %v, want %q", e, step.words)
			}
		}
	})
}

func TestOneHostsPauseIsNotAnothers(t *testing.T) {
	inBubble(t, func(t *testing.T, sim *halotest.Sim, connect func(*halopsa.Budget) *halopsa.Client) {
		client := connect(nil)
		if _, err := client.Agents(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Signs in elsewhere from now on, and is refused there.
		sim.Inject("authinfo", -1, halotest.Answer(200, "application/json", `{"auth_url":"http://127.0.0.7/auth"}`))
		sim.Inject("token", -1, halotest.TooMany("200"))
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		other := connect(nil)
		if err := other.Authenticate(impatient); halopsa.CauseOf(err) != halopsa.RateLimited {
			t.Fatalf("premise: %v", err)
		}
		start := time.Now()
		if _, err := other.Discover(t.Context()); err != nil || time.Since(start) != 0 {
			t.Errorf("the tenant's own host was asked after %v, %v", time.Since(start), err)
		}
	})
}

func TestAllClientsOfATenantAreQuietWhenOneIsToldTo(t *testing.T) {
	inBubble(t, func(t *testing.T, sim *halotest.Sim, connect func(*halopsa.Budget) *halopsa.Client) {
		budget := halopsa.NewBudget()
		one, other, stranger := connect(budget), connect(budget), connect(nil)
		sim.Inject("authinfo", 1, halotest.TooMany("30"))
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() { _ = one.Authenticate(t.Context()) })
		synctest.Wait() // it was told, and waits
		if err := stranger.Authenticate(t.Context()); err != nil || time.Since(start) != 0 {
			t.Errorf("another tenant waited %v, %v", time.Since(start), err)
		}
		if err := other.Authenticate(t.Context()); err != nil {
			t.Error(err)
		}
		if quiet := time.Since(start); quiet != 30*time.Second {
			t.Errorf("the other client waited %v", quiet)
		}
		wg.Wait()
	})
}

func TestRequestsRefusedTogetherAreOneRefusal(t *testing.T) {
	inBubble(t, func(t *testing.T, sim *halotest.Sim, connect func(*halopsa.Budget) *halopsa.Client) {
		budget := halopsa.NewBudget()
		// Both are on their way before either is refused, twice.
		sim.Inject("authinfo", 4, func(w http.ResponseWriter, r *http.Request) bool {
			<-time.After(time.Second)
			return halotest.TooMany("")(w, r)
		})
		start := time.Now()
		var wg sync.WaitGroup
		for range 2 {
			client := connect(budget)
			wg.Go(func() {
				if err := client.Authenticate(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took != (1+5+1+10)*time.Second {
			t.Errorf("went on after %v", took)
		}
	})
}

func TestACallGivesUpAtOnceWhenThePauseWouldOutlastItsDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T, sim *halotest.Sim, connect func(*halopsa.Budget) *halopsa.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		sim.Inject("token", -1, halotest.TooMany(""))
		start := time.Now()
		err := connect(nil).Authenticate(ctx)
		// Pauses of 5, 10 and 20 seconds; one of 40 would end after a minute.
		if took := time.Since(start); halopsa.CauseOf(err) != halopsa.RateLimited || took != 35*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

func TestASlowHostIsGivenUpAfterTwentySecondsAndAtTheDeadline(t *testing.T) {
	for name, test := range map[string]struct {
		endpoint string
		deadline time.Duration
		after    time.Duration
	}{
		"authinfo":                   {"authinfo", time.Hour, 20 * time.Second},
		"token":                      {"token", time.Hour, 20 * time.Second},
		"agents":                     {"Agent", time.Hour, 20 * time.Second},
		"agents, deadline is nearer": {"Agent", 7 * time.Second, 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, sim *halotest.Sim, connect func(*halopsa.Budget) *halopsa.Client) {
				sim.Inject(test.endpoint, -1, halotest.Slow(time.Hour))
				ctx, cancel := context.WithTimeout(t.Context(), test.deadline)
				defer cancel()
				start := time.Now()
				_, err := connect(nil).Agents(ctx)
				if took := time.Since(start); took != test.after {
					t.Errorf("gave up after %v, want %v", took, test.after)
				}
				var e *halopsa.Error
				if !errors.As(err, &e) || e.Cause != halopsa.Unreachable || e.Message != "127.0.0.1 did not answer in time." ||
					!errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestACallThatIsCancelledSaysSoAndNothingElse(t *testing.T) {
	inBubble(t, func(t *testing.T, sim *halotest.Sim, connect func(*halopsa.Budget) *halopsa.Client) {
		sim.Inject("Agent", -1, halotest.Slow(time.Hour))
		ctx, cancel := context.WithCancel(t.Context())
		client := connect(nil)
		done := make(chan error)
		go func() { _, err := client.Agents(ctx); done <- err }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || halopsa.CauseOf(err) != "" {
			t.Errorf("got %v", err)
		}
	})
}

func TestATokenIsUsedUntilAMinuteBeforeItsEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, sim *halotest.Sim, connect func(*halopsa.Budget) *halopsa.Client) {
		client := connect(nil)
		for _, step := range []struct {
			wait   time.Duration
			tokens int
		}{{0, 1}, {58 * time.Minute, 1}, {time.Minute + time.Second, 2}} {
			<-time.After(step.wait)
			if _, err := client.Agents(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := sim.Counters().Tokens; got != step.tokens {
				t.Errorf("after %v more: %d tokens, want %d", step.wait, got, step.tokens)
			}
		}
	})
}
