package schemas

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// ID identifies an event, and the activity or skip made of it. Its text form
// is that of a UUID, lower case.
type ID [16]byte

// String is the UUID form, as in "5b0c9c1e-7f0a-4c55-9d0e-2f6f4b1a8c11".
func (id ID) String() string { return string(id.append(make([]byte, 0, 36))) }

func (id ID) append(dst []byte) []byte {
	for i := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, id[i:i+1])
	}
	return dst
}

// MarshalText writes the UUID form.
func (id ID) MarshalText() ([]byte, error) { return id.append(nil), nil }

// UnmarshalText reads the UUID form.
func (id *ID) UnmarshalText(b []byte) error {
	v, ok := parseID(b)
	if !ok {
		return fmt.Errorf("%w: id: want a UUID", ErrMalformed)
	}
	*id = v
	return nil
}

// ParseID reads the UUID form.
func ParseID(s string) (ID, error) {
	var id ID
	err := id.UnmarshalText([]byte(s))
	return id, err
}

func parseID(b []byte) (ID, bool) {
	var id ID
	if len(b) != 36 || b[8] != '-' || b[13] != '-' || b[18] != '-' || b[23] != '-' {
		return id, false
	}
	at := 0
	for n := range id {
		// By place and not by sight: a dash where a digit belongs would lead
		// past the end.
		if n == 4 || n == 6 || n == 8 || n == 10 {
			at++
		}
		hi, lo := unhex(b[at]), unhex(b[at+1])
		if hi > 15 || lo > 15 {
			return id, false
		}
		id[n] = hi<<4 | lo
		at += 2
	}
	return id, true
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// Occurrence holds the vendor's facts that tell one event from another. All
// strings are as Halo sent them; they are digested, never stored.
type Occurrence struct {
	Tenant Tenant
	Kind   Kind

	EscMsgID   string // occurrence × notification: the best key for "the same event again" (seen on live tenants)
	DeliveryID string // the envelope's id, used where EscMsgID is absent

	// Where both are absent, the rest together.
	WebhookID    string
	Notification int64 // 0 where absent; then EventName stands in
	EventName    string
	Ticket       uint64
	EventTime    time.Time
	Action       uint64
}

// EventID derives the identity of the occurrence: the first 16 bytes of a
// SHA-256 over the tenant, the kind and the best key that Halo gave.
//
// The key is chosen by presence, in the order EscMsgID, DeliveryID, then all
// remaining facts. Each choice is digested under a label of its own, so that
// a delivery id can never meet an equal escmsg_id. GUIDs are compared without
// case. No clock of ours is in it: a delivery that Halo sends again a year
// later has the id that it had at first.
func (o Occurrence) EventID() ID {
	d := newDigest(o.Tenant, o.Kind)
	switch {
	case o.EscMsgID != "":
		d.text("escmsg_id", strings.ToLower(o.EscMsgID))
	case o.DeliveryID != "":
		d.text("id", strings.ToLower(o.DeliveryID))
	default:
		d.text("webhook_id", strings.ToLower(o.WebhookID))
		if o.Notification != 0 {
			d.number("notification_id", uint64(o.Notification))
		} else {
			d.text("event", o.EventName)
		}
		d.number("ticket", o.Ticket)
		d.number("timestamp", uint64(Truncate(o.EventTime).UnixMilli()))
		d.number("action", o.Action)
	}
	return d.id()
}

// UndecodableID derives the identity of an item in which no ticket was found:
// a digest of its bytes. The bytes cannot be had back from it.
func UndecodableID(t Tenant, item []byte) ID {
	d := newDigest(t, "")
	sum := sha256.Sum256(item)
	d.text("item", string(sum[:]))
	return d.id()
}

// digest frames every field with its label and its length, so that no two
// lists of fields give the same bytes.
type digest struct{ buf []byte }

func newDigest(t Tenant, k Kind) *digest {
	d := &digest{buf: make([]byte, 0, 256)}
	d.text("tenant", string(t))
	d.text("kind", string(k))
	return d
}

func (d *digest) text(label, v string) {
	d.buf = append(d.buf, label...)
	d.buf = append(d.buf, 0)
	d.buf = binary.BigEndian.AppendUint32(d.buf, uint32(len(v)))
	d.buf = append(d.buf, v...)
}

func (d *digest) number(label string, v uint64) {
	d.buf = append(d.buf, label...)
	d.buf = append(d.buf, 0)
	d.buf = binary.BigEndian.AppendUint64(d.buf, v)
}

func (d *digest) id() (id ID) {
	sum := sha256.Sum256(d.buf)
	copy(id[:], sum[:])
	return id
}
