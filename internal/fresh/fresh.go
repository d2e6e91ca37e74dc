// Package fresh keeps what a program has read from a file in step with the
// file: tokens, a keyset, certificates.
//
// It promises that a file which was replaced, rewritten or moved behind a link
// counts at the latest a second later, without a restart; that a file which
// cannot be used never takes away what is at hand, unless its parser says so;
// and that an operator is told, once in the log and for as long as it lasts in
// halo_file_stale.
//
// What keeps it true: the content is read at each look and compared as a whole.
// Times and sizes are not asked: two rewrites within a tick of the file
// system's clock have the same ones.
package fresh

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// lookEvery bounds how often the file is read. A second is soon enough for
	// a token that was taken out, and no cost for files of this size.
	lookEvery = time.Second
	// largest is more than any bundle of certificates has. What is longer was
	// named by mistake.
	largest = 4 << 20
)

// Parse makes of a file's content what counts from now on; info is of the file
// that was read. held is what counts so far, the zero value at first.
//
// With an error [Open] fails. Later the value beside the error counts all the
// same: a parser that can use nothing of a bad file returns held, and one that
// must at least let go of something returns the rest.
type Parse[T any] func(content []byte, info fs.FileInfo, held T) (T, error)

// Options are what a file can do without.
type Options struct {
	Now      func() time.Time      // nil: time.Now
	Log      *slog.Logger          // nil: none
	Registry prometheus.Registerer // shows halo_file_stale; nil: none
}

// File is a file whose content is followed. Its methods may be called by
// several goroutines at once.
type File[T any] struct {
	path  string
	parse Parse[T]
	now   func() time.Time
	log   *slog.Logger

	mu     sync.Mutex
	looked time.Time
	seen   sight  // of the last reading that came to the parser
	judged error  // what the parser said of it
	fault  error  // why the file as it stands does not count
	said   string // the last fault that was logged
	held   T
}

// sight tells one state of a file from another. The mode is in it: a file that
// others may write is refused until somebody mends just that.
type sight struct {
	digest [sha256.Size]byte
	mode   fs.FileMode
}

// Open reads the file at path for the first time. name says in the log and in
// the metric which file this is: the variable that names it.
func Open[T any](name, path string, parse Parse[T], o Options) (*File[T], error) {
	f := &File[T]{path: path, parse: parse, now: o.Now, log: o.Log}
	if f.now == nil {
		f.now = time.Now
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.log = f.log.With("file", name)
	f.looked = f.now()
	if f.look(); f.fault != nil {
		return nil, f.fault
	}
	return f, f.show(name, o.Registry)
}

// show registers the gauge. Two clients of one process may follow the same
// file: the first one's gauge speaks for both.
func (f *File[T]) show(name string, reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	err := reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "halo_file_stale",
		Help: "1 while the file as it stands is not in force, since it is gone or cannot be used; what was read before still counts. " +
			"The log says why.",
		ConstLabels: prometheus.Labels{"file": name},
	}, func() float64 {
		if f.Fault() != nil {
			return 1
		}
		return 0
	}))
	if _, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		return nil
	}
	return err
}

// Get returns what the file says, as of a second ago at the latest.
func (f *File[T]) Get() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mind()
	return f.held
}

// Fault is nil while the file as it stands counts, else the reason why it does
// not.
func (f *File[T]) Fault() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mind()
	return f.fault
}

// Reload looks at once: for whoever has met something that only a newer file
// explains.
func (f *File[T]) Reload() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked = f.now()
	f.look()
}

// mind looks at the file where that is due.
func (f *File[T]) mind() {
	if now := f.now(); now.Sub(f.looked) >= lookEvery {
		f.looked = now
		f.look()
	}
}

func (f *File[T]) look() {
	content, info, err := read(f.path)
	if err != nil {
		f.blame(err)
		return
	}
	is := sight{sha256.Sum256(content), info.Mode()}
	first := f.seen == sight{}
	// What was refused is tried again: of a certificate and its key one comes
	// after the other.
	if is != f.seen || f.judged != nil {
		f.held, f.judged = f.parse(content, info, f.held)
		f.seen = is
	} else if f.fault == nil {
		return
	}
	if f.judged != nil {
		f.blame(f.judged)
		return
	}
	f.fault, f.said = nil, ""
	if !first {
		f.log.Info("the file is in force as it stands")
	}
}

// blame notes why the file as it stands does not count, and says it once.
func (f *File[T]) blame(err error) {
	f.fault = err
	if f.said != err.Error() {
		f.said = err.Error()
		f.log.Warn("the file cannot be used as it stands, what was read before counts on", "err", err)
	}
}

func read(path string) ([]byte, fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if info.IsDir() {
		return nil, nil, fmt.Errorf("%s is a directory", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, largest+1))
	if err == nil && len(b) > largest {
		err = fmt.Errorf("%s is longer than %d MiB", path, largest>>20)
	}
	return b, info, err
}
