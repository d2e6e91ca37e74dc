package engine

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// clib is the part of libchdb's C interface that the child uses, bound without
// cgo so that the programs keep cross-compiling. Every function may block for
// as long as a query runs; the Go scheduler treats that as any other call out.
type clib struct {
	setSignalHandlersEnabled func(enabled int32)
	connect                  func(argc int32, argv unsafe.Pointer) *uintptr
	closeConn                func(conn *uintptr)

	query       func(conn uintptr, sql unsafe.Pointer, n uintptr, format unsafe.Pointer, fn uintptr, names, nameLens, values, valueLens unsafe.Pointer, count uintptr) uintptr
	streamQuery func(conn uintptr, sql unsafe.Pointer, n uintptr, format unsafe.Pointer, fn uintptr, names, nameLens, values, valueLens unsafe.Pointer, count uintptr) uintptr
	streamFetch func(conn, stream uintptr) uintptr
	streamStop  func(conn, stream uintptr)

	insert       func(conn uintptr, sql unsafe.Pointer, n uintptr, format unsafe.Pointer, fn uintptr, names, nameLens, values, valueLens unsafe.Pointer, count uintptr) uintptr
	insertAppend func(stream uintptr, data unsafe.Pointer, n uintptr) int32
	insertDone   func(stream uintptr) uintptr
	insertCancel func(stream uintptr)
	insertError  func(stream uintptr) string
	insertFree   func(stream uintptr)

	resultBuffer      func(result uintptr) unsafe.Pointer
	resultLength      func(result uintptr) uintptr
	resultError       func(result uintptr) string
	resultRowsRead    func(result uintptr) uint64
	resultBytesRead   func(result uintptr) uint64
	resultRowsWritten func(result uintptr) uint64
	resultBytesWrite  func(result uintptr) uint64
	resultFree        func(result uintptr)
}

// loadC opens the shared library. It maps some 570 MB of file, of which only
// what is used becomes resident.
func loadC(path string) (lib *clib, err error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	// RegisterLibFunc panics on a missing symbol; an older libchdb lacks the
	// insert stream, and its user is owed an error, not a stack trace.
	defer func() {
		if r := recover(); r != nil {
			lib, err = nil, fmt.Errorf("%s is no libchdb of version %s: %v", path, Version, r)
		}
	}()
	lib = new(clib)
	for name, fn := range map[string]any{
		"chdb_set_signal_handlers_enabled": &lib.setSignalHandlersEnabled,
		"chdb_connect":                     &lib.connect,
		"chdb_close_conn":                  &lib.closeConn,
		"chdb_query_with_params_n":         &lib.query,
		"chdb_stream_query_with_params_n":  &lib.streamQuery,
		"chdb_stream_fetch_result":         &lib.streamFetch,
		"chdb_stream_cancel_query":         &lib.streamStop,
		"chdb_stream_insert_with_params_n": &lib.insert,
		"chdb_stream_append":               &lib.insertAppend,
		"chdb_stream_done":                 &lib.insertDone,
		"chdb_stream_cancel_insert":        &lib.insertCancel,
		"chdb_stream_insert_error":         &lib.insertError,
		"chdb_destroy_insert_stream":       &lib.insertFree,
		"chdb_result_buffer":               &lib.resultBuffer,
		"chdb_result_length":               &lib.resultLength,
		"chdb_result_error":                &lib.resultError,
		"chdb_result_rows_read":            &lib.resultRowsRead,
		"chdb_result_bytes_read":           &lib.resultBytesRead,
		"chdb_result_rows_written":         &lib.resultRowsWritten,
		"chdb_result_bytes_written":        &lib.resultBytesWrite,
		"chdb_destroy_query_result":        &lib.resultFree,
	} {
		purego.RegisterLibFunc(fn, handle, name)
	}
	return lib, nil
}

// session is one connection to the engine. It runs one statement at a time and
// is not safe for concurrent use.
type session struct {
	lib  *clib
	conn *uintptr // the library's own handle; it lives on the C heap
	// What the last request left: the settings beside the pool's own, and the
	// current database, "" before the first.
	set      []setting
	database string
}

var errConnect = errors.New("the engine refused the connection")

// open makes a session. The first one starts the engine with args
// ("--path=..."), later ones join it.
func (lib *clib) open(args []string) (*session, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	argv := make([]unsafe.Pointer, len(args)+1)
	for i, a := range args {
		c := append([]byte(a), 0)
		pin.Pin(&c[0])
		argv[i] = unsafe.Pointer(&c[0])
	}
	pin.Pin(&argv[0])
	conn := lib.connect(int32(len(args)), unsafe.Pointer(&argv[0]))
	if conn == nil {
		return nil, errConnect
	}
	return &session{lib: lib, conn: conn}, nil
}

func (s *session) close() { s.lib.closeConn(s.conn) }

// statement is what the C calls take: text, output or input format, and the
// values of {name:Type} placeholders in ClickHouse's escaped text form.
type statement struct {
	sql    string
	format string
	params map[string]string
}

type startFunc = func(conn uintptr, sql unsafe.Pointer, n uintptr, format unsafe.Pointer, fn uintptr, names, nameLens, values, valueLens unsafe.Pointer, count uintptr) uintptr

// start hands a statement to one of the three entry points. The library copies
// all that it keeps, so the pins need not outlive the call.
func (s *session) start(call startFunc, st statement) uintptr {
	var pin runtime.Pinner
	defer pin.Unpin()
	str := func(v string) unsafe.Pointer {
		if v == "" {
			v = "\x00"
		}
		p := unsafe.StringData(v)
		pin.Pin(p)
		return unsafe.Pointer(p)
	}
	n := len(st.params)
	names, values := make([]unsafe.Pointer, 0, n+1), make([]unsafe.Pointer, 0, n+1)
	nameLens, valueLens := make([]uintptr, 0, n+1), make([]uintptr, 0, n+1)
	for k, v := range st.params {
		names, nameLens = append(names, str(k)), append(nameLens, uintptr(len(k)))
		values, valueLens = append(values, str(v)), append(valueLens, uintptr(len(v)))
	}
	names, values = append(names, nil), append(values, nil)
	nameLens, valueLens = append(nameLens, 0), append(valueLens, 0)
	pin.Pin(&names[0])
	pin.Pin(&values[0])
	pin.Pin(&nameLens[0])
	pin.Pin(&valueLens[0])
	return call(*s.conn, str(st.sql), uintptr(len(st.sql)), str(st.format), uintptr(len(st.format)),
		unsafe.Pointer(&names[0]), unsafe.Pointer(&nameLens[0]),
		unsafe.Pointer(&values[0]), unsafe.Pointer(&valueLens[0]), uintptr(n))
}

// summary counts what a statement read and wrote.
type summary struct {
	readRows, readBytes, writtenRows, writtenBytes uint64
}

// result is one buffer of formatted output, in the library's memory until free.
type result struct {
	lib    *clib
	handle uintptr
}

// bytes is valid until free.
func (r result) bytes() []byte {
	n := r.lib.resultLength(r.handle)
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(r.lib.resultBuffer(r.handle)), n)
}

func (r result) summary() summary {
	return summary{
		readRows: r.lib.resultRowsRead(r.handle), readBytes: r.lib.resultBytesRead(r.handle),
		writtenRows: r.lib.resultRowsWritten(r.handle), writtenBytes: r.lib.resultBytesWrite(r.handle),
	}
}

func (r result) err() error { return parseException(r.lib.resultError(r.handle)) }

func (r result) free() { r.lib.resultFree(r.handle) }

// run executes any statement and returns its whole output.
func (s *session) run(st statement) (result, error) {
	r := result{s.lib, s.start(s.lib.query, st)}
	if err := r.err(); err != nil {
		r.free()
		return result{}, err
	}
	return r, nil
}

// exec runs a statement whose output nobody wants.
func (s *session) exec(sql string) error {
	r, err := s.run(statement{sql: sql, format: "Null"})
	if err != nil {
		return err
	}
	r.free()
	return nil
}

// rows is a SELECT that is fetched block by block.
type rows struct {
	s      *session
	stream result
}

// stream starts a SELECT; the library accepts nothing else here.
func (s *session) stream(st statement) (*rows, error) {
	r := &rows{s: s, stream: result{s.lib, s.start(s.lib.streamQuery, st)}}
	if err := r.stream.err(); err != nil {
		r.stream.free()
		return nil, err
	}
	return r, nil
}

// next returns the next block; the stream is over when it holds no bytes.
func (r *rows) next() (result, error) {
	chunk := result{r.s.lib, r.s.lib.streamFetch(*r.s.conn, r.stream.handle)}
	if err := chunk.err(); err != nil {
		chunk.free()
		return result{}, err
	}
	return chunk, nil
}

// close ends the SELECT, finished or not.
func (r *rows) close(finished bool) {
	if !finished {
		r.s.lib.streamStop(*r.s.conn, r.stream.handle)
	}
	r.stream.free()
}

// insertion is an INSERT whose data arrive in pieces.
type insertion struct {
	lib    *clib
	handle uintptr
}

// insert starts an INSERT; st.sql carries no FORMAT clause, st.format names it.
func (s *session) insert(st statement) (*insertion, error) {
	in := &insertion{s.lib, s.start(s.lib.insert, st)}
	if err := in.err(); err != nil {
		in.free()
		return nil, err
	}
	return in, nil
}

func (in *insertion) err() error { return parseException(in.lib.insertError(in.handle)) }

// Write appends formatted data. It blocks while the engine is behind.
func (in *insertion) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	var pin runtime.Pinner
	pin.Pin(&p[0])
	defer pin.Unpin()
	if in.lib.insertAppend(in.handle, unsafe.Pointer(&p[0]), uintptr(len(p))) != 0 {
		if err := in.err(); err != nil {
			return 0, err
		}
		return 0, errInsertBroken
	}
	return len(p), nil
}

var errInsertBroken = errors.New("the engine took no more data for this insert")

// done commits what was appended.
func (in *insertion) done() (summary, error) {
	r := result{in.lib, in.lib.insertDone(in.handle)}
	defer r.free()
	if err := r.err(); err != nil {
		return summary{}, err
	}
	return r.summary(), nil
}

// cancel gives up an insert that was not done.
func (in *insertion) cancel() { in.lib.insertCancel(in.handle) }

// free releases the handle, in every case.
func (in *insertion) free() { in.lib.insertFree(in.handle) }
