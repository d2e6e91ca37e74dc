package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/internal/metric"
)

var quiet = slog.New(slog.DiscardHandler)

// diary notes what happens, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

// component notes when it ends; it takes a second for that.
func (d *diary) component(name string) Component {
	return Component{Name: name, Run: func(ctx context.Context) error {
		<-ctx.Done()
		<-time.After(time.Second) // virtual
		d.note(name)
		return nil
	}}
}

func TestComponentsStopInReverseEachWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := run(ctx, []Component{d.component("producer"), d.component("table"), d.component("edge")}, time.Hour, &health{}, quiet)
		if err != nil || !slices.Equal(d.lines, []string{"edge", "table", "producer"}) {
			t.Errorf("%v, %v", d.lines, err)
		}
	})
}

func TestTheFirstFailureStopsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		broken := errors.New("broken")
		failing := Component{Name: "sink", Run: func(context.Context) error {
			<-time.After(time.Minute) // virtual
			return broken
		}}
		err := run(t.Context(), []Component{d.component("a"), failing, d.component("b")}, time.Hour, &health{}, quiet)
		if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "sink: ") || !slices.Equal(d.lines, []string{"b", "a"}) {
			t.Errorf("%v, %v", d.lines, err)
		}
	})
}

func TestAComponentThatEndsUnaskedIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := Component{Name: "table", Run: func(context.Context) error { return nil }}
		if err := run(t.Context(), []Component{gone}, time.Hour, &health{}, quiet); err == nil || !strings.Contains(err.Error(), "table") {
			t.Errorf("error %v", err)
		}
	})
}

func TestAComponentThatDoesNotStopIsLeftAndNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		release := make(chan struct{})
		stuck := Component{Name: "stuck", Run: func(context.Context) error { <-release; return nil }}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := run(ctx, []Component{d.component("a"), stuck}, 3*time.Second, &health{}, quiet)
		if !errors.Is(err, ErrStuck) || !strings.Contains(err.Error(), "stuck") || !slices.Equal(d.lines, []string{"a"}) {
			t.Errorf("%v, %v", d.lines, err)
		}
		close(release)
	})
}

// What a supervisor would do, without one: bin/local has none, and a restart of
// a container comes with a pause.
func TestAFailureThatNewComponentsMendEndsInNewOnes(t *testing.T) {
	mendable := errors.New("topic made again")
	for _, tt := range []struct {
		name   string
		fails  []error // of one beginning after the other; then it runs
		stuck  bool
		builds int
		ends   error
	}{
		{name: "mended at the third beginning", fails: []error{mendable, mendable}, builds: 3},
		{name: "another failure afterwards", fails: []error{mendable, errors.ErrUnsupported}, builds: 2, ends: errors.ErrUnsupported},
		{name: "beside a component that is stuck", fails: []error{mendable}, stuck: true, builds: 1, ends: mendable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				builds := 0
				build := func(context.Context, *slog.Logger, *prometheus.Registry) ([]Component, error) {
					n := builds
					builds++
					all := []Component{{Name: "topics", Run: func(ctx context.Context) error {
						if n < len(tt.fails) {
							return tt.fails[n]
						}
						<-ctx.Done()
						return nil
					}}}
					if tt.stuck {
						all = append(all, Component{Name: "stuck", Run: func(context.Context) error { <-release; return nil }})
					}
					return all, nil
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				h, reg := &health{}, &registry{}
				reg.renew("test", h, 0)
				began := time.Now()
				err := again(ctx, Config{Program: "test", Anew: func(err error) bool { return errors.Is(err, mendable) }}, reg, h, quiet, build)
				if !errors.Is(err, tt.ends) || builds != tt.builds {
					t.Errorf("%d beginnings, ended with %v; want %d and %v", builds, err, tt.builds, tt.ends)
				}
				if tt.ends == nil && time.Since(began) != time.Minute {
					t.Errorf("ended after %v, want by its context", time.Since(began))
				}
				var times float64
				all, err := reg.Gather()
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range all {
					if f.GetName() == "halo_begun_anew_total" {
						times = f.GetMetric()[0].GetCounter().GetValue()
					}
				}
				if times != float64(tt.builds-1) {
					t.Errorf("the metric counts %v, want %d", times, tt.builds-1)
				}
				close(release)
			})
		})
	}
}

func TestReadinessNamesWhoIsNotReadyAndWhy(t *testing.T) {
	h := &health{}
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "halo_example_total", Help: "Counts nothing."}))
	metric.Ready(reg, h.report)
	handler := handler(h, reg)
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	expect := func(path string, status int, body string) {
		t.Helper()
		if gotStatus, got := get(path); gotStatus != status || !strings.Contains(got, body) {
			t.Errorf("%s: %d %q, want %d %q", path, gotStatus, got, status, body)
		}
	}
	expect("/healthz", 200, "ok")
	expect("/readyz", 503, "starting")
	why := errors.New("reading for the first time")
	h.started([]Component{{Name: "edge"}, {Name: "table", Ready: func() error { return why }}})
	expect("/readyz", 503, "table: reading for the first time")
	why = nil
	expect("/readyz", 200, "ready")
	h.stopping()
	expect("/readyz", 503, "stopping")
	expect("/healthz", 200, "ok")
	expect("/metrics", 200, "halo_example_total 0")
	expect("/metrics", 200, `halo_component_ready{component="table"} 0`)
	h.up = true
	expect("/metrics", 200, `halo_component_ready{component="table"} 1`)
	why = errors.New("behind")
	expect("/metrics", 200, `halo_component_ready{component="table"} 0`)
}

// Two gauges of one name are none: a scrape fails whole.
func TestTwoComponentsOfOneNameAreRefused(t *testing.T) {
	idle := func(ctx context.Context) error { <-ctx.Done(); return nil }
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := Run(ctx, Config{Program: "test", LogLevel: "error", LogFormat: "text"},
		func(context.Context, *slog.Logger, *prometheus.Registry) ([]Component, error) {
			return []Component{{Name: "table", Run: idle}, {Name: "edge", Run: idle}, {Name: "table", Run: idle}}, nil
		})
	if err == nil || !strings.Contains(err.Error(), `"table"`) {
		t.Errorf("ended with %v", err)
	}
}

func TestTheLogIsAsAskedFor(t *testing.T) {
	var out strings.Builder
	log, err := newLog(&out, "warn", "json")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("unheard")
	log.Warn("heard", "tenant", "acme-it")
	if !strings.HasPrefix(out.String(), "{") || strings.Contains(out.String(), "unheard") || !strings.Contains(out.String(), `"tenant":"acme-it"`) {
		t.Errorf("logged %s", out.String())
	}
	for _, bad := range [][2]string{{"loud", "text"}, {"info", "xml"}} {
		if _, err := newLog(&out, bad[0], bad[1]); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}
