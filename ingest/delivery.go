package ingest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/worksights/halo-connector/ingest/halopsa"
	"github.com/worksights/halo-connector/schemas"
)

const (
	// kafkaBudget is how long one delivery may wait for Kafka altogether, so
	// that its answer comes within two seconds: that is what senders of
	// webhooks wait for before they call a receiver dead.
	kafkaBudget = 1500 * time.Millisecond

	// catchUpTimeout bounds one catch-up of the table. It is one round trip to
	// Kafka, below a millisecond where all is well, and this long only where
	// Kafka is gone. A delivery needs two of them at the most.
	catchUpTimeout = 400 * time.Millisecond

	// catchUpPace is the time in which all refused deliveries but the first
	// share a catch-up, so that a flood of guesses asks Kafka some hundred times
	// a second at the most.
	catchUpPace = 20 * time.Millisecond
)

// delivery is one request on its way through the edge.
type delivery struct {
	edge    *Edge
	ctx     context.Context // the trace's; never the request's, see keep
	id      string
	arrived time.Time
	waited  time.Duration // for Kafka, so far

	connection schemas.Connection
	sender     *sender // nil where the connection is not known
	open       bool
	sent       int64 // bytes of the body that were read
	result     halopsa.Result

	good, skipped int
	refusal       *refusal
}

func (d *delivery) close() {
	if d.open {
		d.sender.end()
	}
}

// authenticate sets the delivery's connection if the request proves to be its.
//
// An unknown connection and a wrong secret take the same steps: the digest of
// the secret, a comparison, a catch-up, the digest and the comparison again.
// Without credentials that could fit there is nothing to find out by waiting.
func (d *delivery) authenticate(r *http.Request) *refusal {
	user, password, ok := r.BasicAuth()
	secret := schemas.Secret(password)
	if fits := ok && strings.EqualFold(user, d.id); d.verify(secret) && fits {
		return nil
	} else if !fits {
		return refusedSecret
	}
	// Perhaps connect answered a moment ago and the table lags. A delivery must
	// not be called a forgery for that, nor because Kafka is away.
	if err := d.catchUp(); err != nil {
		d.edge.trouble("the table of connections cannot catch up with Kafka, so an unknown secret cannot be refused", err)
		return refusedTable
	}
	if d.verify(secret) {
		return nil
	}
	return refusedSecret
}

func (d *delivery) verify(secret schemas.Secret) bool {
	connection, ok := d.edge.connections.Get(d.id)
	if ok {
		d.sender = d.edge.senders.of(connection.ID)
	} else {
		// With the id that was asked for, since its length is digested.
		d.sender = nil
		connection = schemas.Connection{ID: schemas.ConnectionID(d.id)}
	}
	d.connection = connection
	return connection.Verify(secret, d.arrived)
}

// catchUp waits for the table, within the delivery's budget. The table lets
// those who ask together share one question to Kafka; who comes while another has
// just asked waits for the next slot, in which he is together with others.
func (d *delivery) catchUp() error {
	start := time.Now()
	defer func() { d.waited += time.Since(start) }()
	slot := start.UnixNano() / int64(catchUpPace)
	if d.edge.asked.Swap(slot) == slot {
		time.Sleep(time.Duration((slot+1)*int64(catchUpPace) - start.UnixNano()))
	}
	ctx, cancel := context.WithTimeout(d.ctx, catchUpTimeout)
	defer cancel()
	return d.edge.connections.CatchUp(ctx)
}

// decode reads the body and keeps what is left of it: ids and times.
func (d *delivery) decode(r *http.Request) *refusal {
	e := d.edge
	buf, sent, refusal := e.bodies.read(r, d.sender)
	d.sent = sent
	if refusal != nil {
		return refusal
	}
	defer e.bodies.put(buf)
	e.metrics.body.Observe(float64(len(buf.b)))

	err := d.judge(buf.b)
	if err == nil && lagging(d.result.Events) {
		// The verifier fits, and yet the webhook or the notification is not the
		// one of the table: true of an old webhook, and of a table that lags
		// behind a connection that was just made or renewed.
		if err := d.catchUp(); err != nil {
			e.trouble("the table of connections cannot catch up with Kafka, so a delivery cannot be judged", err)
			return refusedTable
		}
		if current, ok := e.connections.Get(d.id); ok {
			d.connection = current
			err = d.judge(buf.b)
		}
	}
	d.sender.charge(d.result.Items)
	switch {
	case errors.Is(err, halopsa.ErrTooMany):
		return refusedItems
	case errors.Is(err, halopsa.ErrTooDeep):
		return refusedDepth
	case err != nil:
		return refusedJSON
	}
	return nil
}

// judge decodes the body by what is known of the connection.
func (d *delivery) judge(body []byte) error {
	decode := func() (err error) {
		d.result, err = halopsa.Decode(body, halopsa.Delivery{Connection: d.connection, ReceivedAt: d.arrived})
		return err
	}
	if len(body) > small {
		return d.edge.bodies.work(decode)
	}
	return decode()
}

// lagging reports whether a newer record of the connection could give another
// answer.
func lagging(events []schemas.Event) bool {
	for i := range events {
		if r := events[i].Refusal; r == schemas.StaleWebhook || r == schemas.UnknownKind {
			return true
		}
	}
	return false
}

// keep hands the events to the log and waits for its acknowledgement. A caller
// who hangs up meanwhile changes nothing: his events are on their way.
func (d *delivery) keep() *refusal {
	if d.test() {
		return nil
	}
	if err := d.edge.log.Append(d.ctx, d.result.Events, kafkaBudget-d.waited); err != nil {
		d.edge.trouble("a delivery could not be kept for certain and was answered 503", err)
		return refusedKafka
	}
	d.good, d.skipped = d.edge.metrics.kept(d.result.Events, d.edge.now().Sub(d.arrived))
	return nil
}

// test reports whether the delivery, which was not refused, was a test.
func (d *delivery) test() bool { return len(d.result.Events) == 0 }

// worthNoting reports whether the delivery is one of a known connection that was
// refused, or has items in which no ticket was found.
func (d *delivery) worthNoting() bool {
	if d.sender == nil || d.refusal != nil && d.refusal.result == notFound {
		return false
	}
	return (d.refusal != nil || len(d.result.Fields.Known) > 0 || d.result.Fields.Others > 0) && d.sender.mayNote(d.arrived)
}

// note writes down that the delivery was refused, and which of the vendor's names
// stand in what was undecodable: sizes and names, nothing else.
func (d *delivery) note() {
	refused := schemas.Refused{
		Tenant: d.connection.Tenant, Connection: d.connection.ID, At: schemas.Truncate(d.arrived),
		Result: schemas.RefusedUndecodable, Items: d.result.Items, Bytes: d.sent, Fields: d.result.Fields.Known,
	}
	if d.refusal != nil {
		refused.Result = schemas.Refusal(d.refusal.result)
	} else if d.sender.mayReport(d.arrived) {
		d.edge.logger.Warn("a delivery has items that name no ticket",
			"tenant", d.connection.Tenant, "connection", d.connection.ID, "fields", d.result.Fields)
	}
	d.edge.log.Note(refused)
}
