package ingest

import (
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/worksights/halo-connector/schemas"
)

// maxOpen is how many deliveries of one connection may be open at once, from the
// secret that was accepted to the answer. Halo posts one after the other; 32 cover
// a burst that waits for Kafka, and keep what one tenant can hold of the memory
// for bodies (body.go) below a third.
const maxOpen = 32

// senders bound what one connection can ask of the edge, so that one tenant's
// flood costs the others nothing. There is never more than one for each
// connection in the table.
type senders struct {
	itemsPerSecond float64 // 0: no bound
	known          sync.Map
}

// sender is one connection's.
type sender struct {
	rate float64 // items a second; 0: no bound

	mu      sync.Mutex
	open    int       // deliveries
	balance float64   // items that may be sent at once; below 0: a debt
	at      time.Time // of the balance
	noted   time.Time // when a refused delivery was last written down
	tested  time.Time // when a test was
	reports *rate.Limiter
	last    prometheus.Gauge // when its last accepted delivery arrived
}

func (l *senders) of(id schemas.ConnectionID) *sender {
	if v, ok := l.known.Load(id); ok {
		return v.(*sender)
	}
	v, _ := l.known.LoadOrStore(id, &sender{rate: l.itemsPerSecond, balance: 2 * l.itemsPerSecond})
	return v.(*sender)
}

// begin opens a delivery, or says how it is refused. It costs one item: what turns
// out to have more is charged when that is known.
func (s *sender) begin(now time.Time) *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= maxOpen {
		return refusedOpen
	}
	if s.rate > 0 {
		// The clock may be set back: that pays no debt and makes none.
		if passed := now.Sub(s.at); passed > 0 {
			s.balance = math.Min(s.balance+s.rate*passed.Seconds(), 2*s.rate)
			s.at = now
		}
		if s.balance < 1 {
			return refusedRate(time.Duration((1 - s.balance) / s.rate * float64(time.Second)))
		}
		s.balance--
	}
	s.open++
	return nil
}

// charge takes the price of a delivery's items beyond the first. A delivery that
// has begun is taken whole: what it costs too much is a debt, and the connection
// waits until it is paid.
func (s *sender) charge(items int) {
	if s.rate == 0 || items <= 1 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.balance -= float64(items - 1)
}

func (s *sender) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
}

// seen returns the gauge of the connection's last delivery, which vec makes once.
func (s *sender) seen(vec *prometheus.GaugeVec, tenant schemas.Tenant) prometheus.Gauge {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		s.last = vec.WithLabelValues(string(tenant))
	}
	return s.last
}

// mayNote reports whether a refused delivery may be written down: once a second
// and connection. What a broken payload or a guesser sends by the thousand is one
// story, and the first lines tell it.
func (s *sender) mayNote(now time.Time) bool { return s.once(&s.noted, time.Second, now) }

// mayTest reports whether a test may be written down: once a minute and connection.
func (s *sender) mayTest(now time.Time) bool { return s.once(&s.tested, time.Minute, now) }

func (s *sender) once(last *time.Time, every time.Duration, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if passed := now.Sub(*last); passed >= 0 && passed < every {
		return false
	}
	*last = now
	return true
}

// mayReport reports whether a delivery without a ticket is said in the log.
// Whoever sets up a payload sends it a few times and reads the log; a webhook
// that is set up wrongly sends thousands.
func (s *sender) mayReport(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reports == nil {
		s.reports = rate.NewLimiter(rate.Every(time.Minute), 5)
	}
	return s.reports.AllowN(now, 1)
}
