package kafka

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	answerWithin = 5 * time.Second // the client dials on in the meantime
	askEvery     = time.Second     // after an answer that does not grant all
)

// Rights know whether a stage may use its topics. Nothing else says so before
// the first record: of a topic that is not there, or that it may not see, a
// member of a group is assigned nothing; and an edge that may not write finds
// out with a delivery that it has to refuse, when a rollout has replaced the
// last one that could.
type Rights struct {
	cfg  Config
	log  *slog.Logger
	opts []kgo.Opt
	uses []use

	lacks atomic.Pointer[string] // what is missing; nil: nothing
}

// use is what a stage does with a topic.
type use struct {
	topic string
	op    kmsg.ACLOperation
	verb  string
}

// NewRights returns the rights of a stage that reads and writes these topics. A
// topic may be in both. Options go to the client that asks, last.
func NewRights(cfg Config, log *slog.Logger, reads, writes []string, opts ...kgo.Opt) *Rights {
	r := &Rights{cfg: cfg, log: log, opts: opts}
	for _, topic := range reads {
		r.uses = append(r.uses, use{topic, kmsg.ACLOperationRead, "read"})
	}
	for _, topic := range writes {
		r.uses = append(r.uses, use{topic, kmsg.ACLOperationWrite, "write"})
	}
	r.lack("Kafka has not answered yet")
	return r
}

// Ready is nil once Kafka has granted all of it. What is revoked afterwards
// changes nothing here: the step that fails says so, and to be taken out of
// service would help nobody.
func (r *Rights) Ready() error {
	if lacks := r.lacks.Load(); lacks != nil {
		return errors.New(*lacks)
	}
	return nil
}

func (r *Rights) lack(what string) { r.lacks.Store(&what) }

// Run asks Kafka until it grants all of it, logs each reason once why it does
// not, and then waits for ctx to be done. It fails only without a client.
func (r *Rights) Run(ctx context.Context) error {
	if err := r.await(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (r *Rights) await(ctx context.Context) error {
	// Without a registry: it would look like a client of the stage that went
	// away. With the context, because nothing else ends a question to a broker
	// that hangs.
	cl, err := newClient(r.cfg, "rights", r.log, nil, []kgo.Opt{kgo.WithContext(ctx)}, r.opts)
	if err != nil {
		return err
	}
	defer cl.Close()
	for said := ""; ctx.Err() == nil; {
		lacks, err := r.ask(ctx, cl)
		reason := lacks
		if err != nil {
			lacks, reason = "Kafka does not answer: "+err.Error(), cause(err).Error()
		}
		if lacks == "" {
			r.lacks.Store(nil)
			return nil
		}
		r.lack(lacks)
		if reason != said && ctx.Err() == nil {
			said = reason
			r.log.Warn("not all topics can be used, asking again", "err", lacks)
		}
		select {
		case <-ctx.Done():
		case <-time.After(askEvery):
		}
	}
	return nil
}

// ask returns all that Kafka does not grant.
func (r *Rights) ask(ctx context.Context, cl *kgo.Client) (lacks string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	// Not through kadm, which gives up on all topics at the first that may not
	// be seen.
	req := kmsg.NewPtrMetadataRequest()
	req.IncludeTopicAuthorizedOperations = true // KIP-430
	asked := make(map[string]bool)
	for _, u := range r.uses {
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
		return "", err
	}
	topics := make(map[string]kmsg.MetadataResponseTopic, len(resp.Topics))
	for _, t := range resp.Topics {
		if t.Topic != nil {
			topics[*t.Topic] = t
		}
	}
	var all []string
	for _, u := range r.uses {
		t, ok := topics[u.topic]
		var lack string
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case !ok:
			lack = "Kafka says nothing of it"
		case err != nil:
			lack = err.Error()
		case !granted(t.AuthorizedOperations, u.op):
			lack = kerr.TopicAuthorizationFailed.Message + ": no right to " + u.verb
		default:
			continue
		}
		if lack = u.topic + ": " + lack; !slices.Contains(all, lack) { // of a topic to read and to write
			all = append(all, lack)
		}
	}
	return strings.Join(all, "; "), nil
}

// granted reports whether op is among the operations of a bit field, bit n for
// operation n. Every right to a topic implies the one to describe it, so a
// field without that one is of a broker that does not tell: Kafka's own omit it
// with all bits but the highest unset.
func granted(operations int32, op kmsg.ACLOperation) bool {
	has := func(op kmsg.ACLOperation) bool { return operations&(1<<op) != 0 }
	return has(op) || !has(kmsg.ACLOperationDescribe)
}
