package kafka

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"
	"github.com/twmb/franz-go/plugin/kslog"
)

// metrics is what kprom counts of one client, under names that begin with
// halo_kafka_ and with the label client.
//
// kprom would register its collectors itself, inside kgo.NewClient, and panic
// when a second client of the same name appears. A process has several clients
// on one registry, and a test or a restarted component makes the same one
// again: so kprom registers nothing and we register it as one collector, with
// a name that is free, until the client is closed.
type metrics struct {
	kprom *kprom.Metrics
	reg   prometheus.Registerer // nil until registered
}

func newMetrics() *metrics {
	return &metrics{kprom: kprom.NewMetrics("halo_kafka",
		kprom.Registry(nil),
		kprom.Histograms(kprom.RequestDurationE2E),
		kprom.FetchAndProduceDetail(kprom.ByTopic, kprom.Records, kprom.Batches,
			kprom.CompressedBytes, kprom.UncompressedBytes, kprom.ConsistentNaming),
	)}
}

func (m *metrics) hooks() []kgo.Hook { return []kgo.Hook{m.kprom, m} }

// register makes the metrics visible under client=name; a name that is taken
// gets a number behind it.
func (m *metrics) register(reg prometheus.Registerer, name string) error {
	if reg == nil {
		return nil
	}
	for n := 1; ; n++ {
		label := name
		if n > 1 {
			label += "-" + strconv.Itoa(n)
		}
		r := prometheus.WrapRegistererWith(prometheus.Labels{"client": label}, reg)
		err := r.Register(m.kprom)
		var taken prometheus.AlreadyRegisteredError
		if errors.As(err, &taken) {
			continue
		}
		if err == nil {
			m.reg = r
		}
		return err
	}
}

// OnClientClosed takes the client's metrics off the registry: a gauge of a
// closed client would stand still at its last value and look alive.
func (m *metrics) OnClientClosed(*kgo.Client) {
	if m.reg != nil {
		m.reg.Unregister(m.kprom)
	}
}

var _ kgo.HookClientClosed = (*metrics)(nil)

// logger hands the client's messages to slog. The client says at Info what
// only its author wants to know (each metadata refresh, each rebalance step),
// so Info is passed on only where Debug is wanted. What it complains of it says
// at every try, several times a second without Kafka: here each reason is one
// line, and another one five minutes later; the rest is for Debug.
type logger struct {
	log *slog.Logger

	mu   sync.Mutex
	said map[complaint]time.Time
}

func (l *logger) Level() kgo.LogLevel {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		return kgo.LogLevelInfo
	}
	return min(kslog.New(l.log).Level(), kgo.LogLevelWarn)
}

func (l *logger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	if (level == kgo.LogLevelWarn || level == kgo.LogLevelError) && !l.news(msg, keyvals) {
		level = kgo.LogLevelInfo
		if l.Level() < level {
			return
		}
	}
	kslog.New(l.log).Log(level, msg, keyvals...)
}

// news says whether the complaint is one that was not said lately. Of an error
// counts what lies under it: what lies over it names a port of ours, of which
// each try has its own.
func (l *logger) news(msg string, keyvals []any) bool {
	this := complaint{topic: msg}
	for _, v := range keyvals {
		if err, ok := v.(error); ok && err != nil {
			this.cause = cause(err).Error()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.said[this]; ok && time.Since(at) < againAfter {
		return false
	}
	if l.said == nil || len(l.said) > 1000 { // causes are few; a bound all the same
		l.said = make(map[complaint]time.Time)
	}
	l.said[this] = time.Now()
	return true
}
