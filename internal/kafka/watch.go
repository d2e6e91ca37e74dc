package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/worksights/halo-connector/internal/metric"
)

var (
	// ErrReplaced says that a topic was deleted and made again under a running
	// stage. Its clients neither read nor write the new one, and say little of
	// it; only new clients do, so the stage has to begin anew.
	ErrReplaced = errors.New("was deleted and made again")
	// ErrPartitions says that the topic of a table has other than one partition.
	// The records of a key may then lie in two of them, in no order: a table read
	// from the start could end with the older one. Only a person can mend it.
	ErrPartitions = errors.New("is a table and must have one partition")
)

const (
	answerWithin = 5 * time.Second // the client dials on in the meantime
	askEvery     = time.Second     // while something is amiss
	// lookEvery is how long a replaced topic may go unnoticed. Two small
	// requests: a broker answers thousands of them a second.
	lookEvery = 2 * time.Second
)

// Needs are what a stage does with its topics. One may be in several lists.
type Needs struct {
	Read, Write []string
	// Tables are those of Read whose last record of every key must be there for
	// ever, and in one order.
	Tables []string
}

// Watch knows whether a stage can rely on its topics: that they are there, are
// the ones that it began with, may be used, and keep what they must keep.
//
// Nothing else says so. Of a topic that is not there, or that it may not see, a
// member of a group is assigned nothing, and has no lag; an edge that may not
// write finds out with a delivery that it has to refuse, when a rollout has
// replaced the last one that could; a topic that was deleted and made again is
// silent to clients that knew the first; and a table that loses records to a
// retention is short at the next start.
type Watch struct {
	cfg   Config
	log   *slog.Logger
	opts  []kgo.Opt
	stage string
	uses  []use
	faces *prometheus.GaugeVec

	ids     map[string][16]byte // of each topic, as first met; the loop's own
	granted bool                // all rights were there once; the loop's own

	lacks   atomic.Pointer[string] // what is missing; nil: nothing
	checked chan struct{}          // closed once all tables were found to have one partition
}

// use is what a stage does with a topic.
type use struct {
	topic string
	op    kmsg.ACLOperation
	verb  string // as the ACL says it
	table bool
}

// A fault of a topic, as the metric names it.
const (
	faultGone      = "gone"
	faultForbidden = "forbidden"
	faultPolicy    = "policy"
)

// NewWatch returns the watch of a stage. Options go to the client that asks,
// last.
func NewWatch(cfg Config, stage string, needs Needs, log *slog.Logger, reg prometheus.Registerer, opts ...kgo.Opt) *Watch {
	w := &Watch{cfg: cfg, log: log, opts: opts, stage: stage, ids: make(map[string][16]byte), checked: make(chan struct{})}
	for _, topic := range needs.Read {
		w.uses = append(w.uses, use{topic: topic, op: kmsg.ACLOperationRead, verb: "Read"})
	}
	for _, topic := range needs.Write {
		w.uses = append(w.uses, use{topic: topic, op: kmsg.ACLOperationWrite, verb: "Write"})
	}
	for _, topic := range needs.Tables {
		w.uses = append(w.uses, use{topic: topic, op: kmsg.ACLOperationDescribeConfigs, verb: "DescribeConfigs", table: true})
	}
	w.faces = metric.Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "halo_topic_fault",
		Help: "1 while the stage cannot rely on the topic; absent otherwise. gone: it is not there. forbidden: a right to it is missing. " +
			"policy: its cleanup policy or retention lets a table lose records. /readyz and the log say it in words.",
	}, []string{"stage", "topic", "fault"}))
	w.lack("Kafka has not answered yet")
	return w
}

// Ready is nil while the stage can rely on its topics, as of the last answer.
// A right that is revoked later changes nothing here: the step that fails says
// so, and to be taken out of service would help nobody.
func (w *Watch) Ready() error {
	if lacks := w.lacks.Load(); lacks != nil {
		return errors.New(*lacks)
	}
	return nil
}

// Checked waits until every table was found to be one that may be read from the
// start. Whoever judges by a table, or writes what follows from one, begins
// only then.
func (w *Watch) Checked(ctx context.Context) error {
	select {
	case <-w.checked:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *Watch) lack(what string) { w.lacks.Store(&what) }

// Run asks Kafka again and again, and logs each reason once why the stage cannot
// rely on its topics. It ends with ctx, with [ErrReplaced], with
// [ErrPartitions], or where there can be no client.
func (w *Watch) Run(ctx context.Context) error {
	// Without a registry: its figures would be taken for those of the stage's
	// work. With the context, because nothing else ends a question to a broker
	// that hangs.
	cl, err := newClient(w.cfg, "watch", w.log, nil, []kgo.Opt{kgo.WithContext(ctx)}, w.opts)
	if err != nil {
		return err
	}
	defer cl.Close()
	defer w.faces.DeletePartialMatch(prometheus.Labels{"stage": w.stage})
	for said := ""; ; {
		found, err := w.look(ctx, cl)
		if ctx.Err() != nil {
			return nil
		}
		pause := askEvery
		switch {
		case errors.Is(err, ErrReplaced), errors.Is(err, ErrPartitions):
			w.lack(err.Error())
			return err
		case err != nil:
			// What was found before holds: a broker that is away is noticed by
			// those who need it.
			if reason := cause(err).Error(); w.Ready() != nil {
				w.lack("Kafka does not answer: " + err.Error())
				said = w.say(said, reason, err.Error())
			}
		default:
			w.show(found)
			if lacks := inWords(found); lacks != "" {
				w.lack(lacks)
				said = w.say(said, lacks, lacks)
				break
			}
			if said != "" {
				w.log.Info("all topics can be relied on")
			}
			said, pause = "", lookEvery
			w.granted = true
			w.lacks.Store(nil)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// say logs a reason that was not the last one logged.
func (w *Watch) say(said, reason, text string) string {
	if reason != said {
		w.log.Warn("not all topics can be relied on, asking again", "err", text)
	}
	return reason
}

// fault is one reason why a topic cannot be relied on.
type fault struct{ topic, kind, words string }

func inWords(faults []fault) string {
	var all []string
	for _, f := range faults {
		if text := f.topic + ": " + f.words; !slices.Contains(all, text) { // of a topic to read and to write
			all = append(all, text)
		}
	}
	return strings.Join(all, "; ")
}

func (w *Watch) show(faults []fault) {
	w.faces.DeletePartialMatch(prometheus.Labels{"stage": w.stage})
	for _, f := range faults {
		w.faces.WithLabelValues(w.stage, f.topic, f.kind).Set(1)
	}
}

// look returns all faults that Kafka's answers show now.
func (w *Watch) look(ctx context.Context, cl *kgo.Client) ([]fault, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	topics, err := w.metadata(ctx, cl)
	if err != nil {
		return nil, err
	}
	var (
		faults []fault
		tables []string
		sound  = true // all tables are there, with one partition
	)
	for _, u := range w.uses {
		t, ok := topics[u.topic]
		err := kerr.ErrorForCode(t.ErrorCode)
		if !ok {
			err = errors.New("nothing is said of it by Kafka")
		}
		if err == nil {
			if err := w.same(u, t); err != nil {
				return nil, err
			}
			if granted(t.AuthorizedOperations, u.op) {
				if u.table {
					tables = append(tables, u.topic)
				}
				continue
			}
			err = fmt.Errorf("%s: no right to %s", kerr.TopicAuthorizationFailed.Message, u.verb)
		} else {
			sound = sound && !u.table
		}
		kind := faultForbidden
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			kind = faultGone
			if _, met := w.ids[u.topic]; met {
				err = errors.New("was deleted, and nothing of it can be read or written until it is made again")
			}
		} else if w.granted {
			continue
		}
		faults = append(faults, fault{u.topic, kind, err.Error()})
	}
	if sound && !w.isChecked() {
		close(w.checked)
	}
	policies, err := policyFaults(ctx, cl, tables)
	return append(faults, policies...), err
}

func (w *Watch) isChecked() bool {
	select {
	case <-w.checked:
		return true
	default:
		return false
	}
}

// same fails where the topic is not the one that was met first, or a table in
// pieces.
func (w *Watch) same(u use, t kmsg.MetadataResponseTopic) error {
	if n := len(t.Partitions); u.table && n != 1 {
		return fmt.Errorf("topic %s %w: it has %d", u.topic, ErrPartitions, n)
	}
	first, met := w.ids[u.topic]
	if t.TopicID == [16]byte{} { // of a broker before Kafka 2.8, which cannot be asked
		return nil
	}
	if met && first != t.TopicID {
		return fmt.Errorf("topic %s %w: what was not read of it before is lost", u.topic, ErrReplaced)
	}
	w.ids[u.topic] = t.TopicID
	return nil
}

// metadata asks for the topics by name. Not through kadm, which gives up on all
// topics at the first that may not be seen.
func (w *Watch) metadata(ctx context.Context, cl *kgo.Client) (map[string]kmsg.MetadataResponseTopic, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.IncludeTopicAuthorizedOperations = true // KIP-430
	asked := make(map[string]bool)
	for _, u := range w.uses {
		if asked[u.topic] {
			continue
		}
		asked[u.topic] = true
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = &u.topic
		req.Topics = append(req.Topics, topic)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, err
	}
	topics := make(map[string]kmsg.MetadataResponseTopic, len(resp.Topics))
	for _, t := range resp.Topics {
		if t.Topic != nil {
			topics[*t.Topic] = t
		}
	}
	return topics, nil
}

// policyFaults finds the tables that may lose records.
func policyFaults(ctx context.Context, cl *kgo.Client, tables []string) ([]fault, error) {
	kept, err := keeping(ctx, cl, tables)
	if err != nil {
		return nil, err
	}
	var faults []fault
	for _, topic := range tables {
		if k, ok := kept[topic]; ok && k.loses() != "" {
			faults = append(faults, fault{topic, faultPolicy, "is a table and would lose records by its " + k.loses()})
		}
	}
	return faults, nil
}

// granted reports whether op is among the operations of a bit field, bit n for
// operation n. Every right to a topic implies the one to describe it, so a
// field without that one is of a broker that does not tell: Kafka's own omit it
// with all bits but the highest unset.
func granted(operations int32, op kmsg.ACLOperation) bool {
	has := func(op kmsg.ACLOperation) bool { return operations&(1<<op) != 0 }
	return has(op) || !has(kmsg.ACLOperationDescribe)
}
