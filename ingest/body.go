package ingest

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
)

const (
	// firstRead is the room that a body gets before its length has been seen
	// to be true: what a delivery with its ticket takes.
	firstRead = 32 << 10

	// keepBuffer is the largest buffer that is used again. Some tickets are
	// megabytes; a pool of such would keep a stage above its 150 MB.
	keepBuffer = 256 << 10
)

// bodies reads bodies into memory that is used again. The content of one is
// overwritten by a later one, and is referred to by nobody once the request
// has ended: the decoder gives out ids and times.
type bodies struct {
	max     int64 // bytes, before and after gunzip
	buffers sync.Pool
	gunzips sync.Pool
}

// buffer is a body. It is only valid until it is given back.
type buffer struct{ b []byte }

func (p *bodies) get() *buffer {
	if buf, ok := p.buffers.Get().(*buffer); ok {
		return buf
	}
	return &buffer{b: make([]byte, 0, firstRead)}
}

func (p *bodies) put(buf *buffer) {
	if cap(buf.b) <= keepBuffer {
		buf.b = buf.b[:0]
		p.buffers.Put(buf)
	}
}

// read reads the request's body whole, or says how it is refused.
func (p *bodies) read(r *http.Request, buf *buffer) *refusal {
	if r.ContentLength > p.max {
		return refusedSize
	}
	var err error
	switch strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))) {
	case "", "identity":
		err = p.fill(buf, r.Body)
	case "gzip", "x-gzip":
		err = p.gunzip(r.Body, buf)
	default:
		return refusedEncoding
	}
	return refusalOf(err)
}

// refusalOf drops the text of a reader's error and keeps what the answer
// depends on.
func refusalOf(err error) *refusal {
	var f *refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		return f
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refusedSlow
	default:
		return refusedBroken
	}
}

// gunzip unpacks as it reads: a small body that would unpack to gigabytes costs
// no more than one that is a byte too large.
func (p *bodies) gunzip(body io.Reader, buf *buffer) error {
	wire := &bounded{r: body, left: p.max}
	z, ok := p.gunzips.Get().(*gzip.Reader)
	var err error
	if ok {
		err = z.Reset(wire)
	} else {
		z, err = gzip.NewReader(wire)
	}
	if err == nil {
		err = p.fill(buf, z)
	}
	if z != nil {
		p.gunzips.Put(z)
	}
	switch {
	case wire.err != nil: // gzip would call it a corrupt stream
		return wire.err
	case err == nil, errors.Is(err, refusedSize):
		return err
	default:
		return refusedGzip
	}
}

// fill reads r to its end.
func (p *bodies) fill(buf *buffer, r io.Reader) error {
	for {
		if len(buf.b) == cap(buf.b) {
			// Doubling, and not what Content-Length says: a client that
			// announces two megabytes and sends nothing holds 32 kB.
			grown := make([]byte, len(buf.b), 2*cap(buf.b))
			copy(grown, buf.b)
			buf.b = grown
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
}

// bounded lets left bytes pass, and keeps the failure of what it reads from.
type bounded struct {
	r    io.Reader
	left int64
	err  error
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		err = refusedSize
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}
