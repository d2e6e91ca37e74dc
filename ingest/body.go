package ingest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	// firstRead is the room that a body gets before its length has been seen
	// to be true: what a delivery with its ticket takes.
	firstRead = 32 << 10

	// small is how much of a body is read without looking at what others hold,
	// as long as there are larger connections: 64 KiB, and room in which to see
	// that nothing follows.
	small = 65 << 10

	// maxHeld is what all open bodies may hold in memory, as sent and as
	// unpacked. With what Kafka's client may hold, 60 MB, and the rest of the
	// process it stays well below 512 MiB.
	maxHeld = 256 << 20

	// reserve is what small bodies may take beyond maxHeld: a thousand of them.
	reserve = 64 << 20
)

// bodies reads bodies into memory that is used again. The content of one is
// overwritten by a later one, and is referred to by nobody once the request
// has ended: the decoder gives out ids and times.
//
// What all of them hold is bounded. Once the bound is met, the connections that
// brought it about are refused and the others are served: a body whose first 64
// KiB suffice is taken as long as another connection holds more than its own.
//
// Unpacking and decoding of what is larger than that takes milliseconds of a
// processor, so no more than half of the processors do it at a time: the small
// deliveries of others must not stand in line behind hundreds of large ones.
type bodies struct {
	max     int64 // bytes, before and after gunzip
	buffers sync.Pool
	gunzips sync.Pool
	heavy   chan struct{} // holds a token for each large body that is being worked on

	limit int64        // maxHeld, and less in tests
	held  atomic.Int64 // bytes, of all buffers that are in use
	mu    sync.Mutex
	large map[*sender]int64 // bytes beyond each body's first 64 KiB
}

func newBodies(max int64) *bodies {
	return &bodies{max: max, limit: maxHeld, heavy: make(chan struct{}, (runtime.GOMAXPROCS(0)+1)/2), large: make(map[*sender]int64)}
}

// buffer is a body. It is only valid until it is given back.
type buffer struct {
	b     []byte
	owner *sender
}

// get returns an empty buffer, or nil where there is no room for another body.
func (p *bodies) get(owner *sender) *buffer {
	buf, ok := p.buffers.Get().(*buffer)
	if !ok {
		buf = &buffer{b: make([]byte, 0, firstRead)}
	}
	if !p.hold(owner, 0, cap(buf.b)) {
		p.buffers.Put(buf)
		return nil
	}
	buf.owner = owner
	return buf
}

// put takes a buffer back. Large ones are not used again: some tickets are
// megabytes, and a pool of such would hold for good what one burst has taken.
func (p *bodies) put(buf *buffer) {
	p.release(buf.owner, cap(buf.b))
	if cap(buf.b) <= small {
		buf.b, buf.owner = buf.b[:0], nil
		p.buffers.Put(buf)
	}
}

// grow gives the buffer room for more, at most for size bytes altogether.
func (p *bodies) grow(buf *buffer, size int64) bool {
	have := cap(buf.b)
	// Doubling, and not what Content-Length says: a client that announces two
	// megabytes and sends nothing holds 32 kB.
	want := 2 * have
	if have < small {
		want = small
	}
	want = int(min(int64(want), max(size, int64(have)+1)))
	if !p.hold(buf.owner, have, want-have) {
		return false
	}
	grown := make([]byte, len(buf.b), want)
	copy(grown, buf.b)
	buf.b = grown
	return true
}

// hold books the bytes by which a buffer of size have becomes larger, or refuses
// them.
func (p *bodies) hold(owner *sender, have, more int) bool {
	total := p.held.Add(int64(more))
	beyond := max(0, have+more-small) - max(0, have-small)
	if beyond == 0 && total <= p.limit {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if total > p.limit && (beyond > 0 || total > p.limit+reserve || p.largest(owner)) {
		p.held.Add(-int64(more))
		return false
	}
	if beyond > 0 {
		p.large[owner] += int64(beyond)
	}
	return true
}

// largest reports whether no other connection holds more than owner. p.mu is held.
func (p *bodies) largest(owner *sender) bool {
	mine := p.large[owner]
	for _, n := range p.large {
		if n > mine {
			return false
		}
	}
	return true
}

// release books a buffer of size have out.
func (p *bodies) release(owner *sender, have int) {
	p.held.Add(-int64(have))
	if beyond := have - small; beyond > 0 {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.large[owner] -= int64(beyond); p.large[owner] <= 0 {
			delete(p.large, owner)
		}
	}
}

// work does what costs a processor much, when its turn has come.
func (p *bodies) work(do func() error) error {
	p.heavy <- struct{}{}
	defer func() { <-p.heavy }()
	return do()
}

// read reads the request's body whole, unpacked, or says how it is refused. sent
// is how many bytes it has, as far as they were read or announced. The caller
// gives the buffer back.
func (p *bodies) read(r *http.Request, owner *sender) (buf *buffer, sent int64, _ *refusal) {
	if r.ContentLength > p.max {
		return nil, r.ContentLength, refusedSize
	}
	zipped := false
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity", "gzip":
		zipped = encoding == "gzip"
	default:
		switch strings.ToLower(strings.TrimSpace(encoding)) {
		case "", "identity":
		case "gzip", "x-gzip":
			zipped = true
		default:
			return nil, 0, refusedEncoding
		}
	}
	if buf = p.get(owner); buf == nil {
		return nil, 0, refusedMemory
	}
	size := r.ContentLength
	if size < 0 {
		size = p.unknown()
	}
	err := p.fill(buf, r.Body, size)
	sent = int64(len(buf.b))
	if err == nil && zipped && sent > 0 {
		packed := buf
		buf, err = p.gunzip(packed, owner)
		p.put(packed)
	}
	if err != nil {
		if buf != nil {
			p.put(buf)
		}
		return nil, sent, refusalOf(err)
	}
	return buf, sent, nil
}

// refusalOf drops the text of a reader's error and keeps what the answer
// depends on.
func refusalOf(err error) *refusal {
	var f *refusal
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refusedSlow
	default:
		return refusedBroken
	}
}

// gunzip unpacks a body that was read whole. A small body that would unpack to
// gigabytes costs no more than one that is a byte too large.
func (p *bodies) gunzip(packed *buffer, owner *sender) (*buffer, error) {
	buf := p.get(owner)
	if buf == nil {
		return nil, refusedMemory
	}
	z, ok := p.gunzips.Get().(*gzip.Reader)
	if !ok {
		z = new(gzip.Reader)
	}
	defer p.gunzips.Put(z)
	err := z.Reset(bytes.NewReader(packed.b))
	if err == nil {
		err = p.fill(buf, io.LimitReader(z, small), p.unknown())
	}
	if err == nil && len(buf.b) == small {
		err = p.work(func() error { return p.fill(buf, z, p.unknown()) })
	}
	var f *refusal
	if err != nil && !errors.As(err, &f) {
		err = refusedGzip
	}
	return buf, err
}

// unknown is the size of a body that does not say its own: the largest, and one
// byte more, in which is seen that it is too large.
func (p *bodies) unknown() int64 { return p.max + 1 }

// fill reads r to its end, behind what the buffer holds, and no further than to
// size bytes altogether.
func (p *bodies) fill(buf *buffer, r io.Reader, size int64) error {
	for int64(len(buf.b)) < size {
		if len(buf.b) == cap(buf.b) && !p.grow(buf, size) {
			return refusedMemory
		}
		n, err := r.Read(buf.b[len(buf.b):cap(buf.b)])
		buf.b = buf.b[:len(buf.b)+n]
		switch {
		case int64(len(buf.b)) > p.max:
			return refusedSize
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}
