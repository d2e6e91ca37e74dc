package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// childMark is the environment variable that makes a process the child. Only
// the parent in this package sets it.
const childMark = "HALO_ENGINE_CHILD"

// What the child inherits beside its standard streams.
const (
	listenerFD = 3 // the socket, bound by the parent
	reportFD   = 4 // where the child writes one report
)

// order is what the parent tells the child, one line of JSON on its standard
// input. The input then stays open for as long as the parent lives.
type order struct {
	Library  string
	Dir      string
	Memory   int64
	Users    string
	Extra    string
	Sessions int
	Patience time.Duration
}

// report is what the child answers once: that it is ready, or why it is not.
type report struct {
	Version string // of ClickHouse
	Error   string
	Locked  bool // another process holds the data directory
}

// Child becomes the engine's child process if the environment says so, and
// then never returns. It is the first statement of main and of TestMain in
// every program that calls [Start], because the parent starts its own
// executable again.
func Child() {
	if os.Getenv(childMark) == "" {
		return
	}
	// The terminal's Ctrl-C goes to the whole group; the parent decides when
	// the engine ends, and it ends last.
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := child(log); err != nil {
		log.Error("embedded engine", "err", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func child(log *slog.Logger) error {
	reports := os.NewFile(reportFD, "report")
	var o order
	decoder := json.NewDecoder(os.Stdin)
	if err := decoder.Decode(&o); err != nil {
		return fmt.Errorf("read the parent's order: %w", err)
	}
	// The parent never writes again: whatever ends this read is its end. The
	// process then has until grace is over, and goes whatever the engine does.
	orphaned, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
		time.Sleep(grace)
		os.Exit(2)
	}()

	srv, stop, version, err := openEngine(orphaned, o, log)
	if err != nil {
		_ = json.NewEncoder(reports).Encode(report{Error: err.Error(), Locked: errors.Is(err, ErrLocked)})
		return err
	}
	file := os.NewFile(listenerFD, "listener")
	ln, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("take over the listener: %w", err)
	}
	_ = file.Close()
	if err := json.NewEncoder(reports).Encode(report{Version: version}); err != nil {
		return fmt.Errorf("report to the parent: %w", err)
	}
	_ = reports.Close()

	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return err
	case <-orphaned.Done():
	}
	return stop()
}

// grace is what a child gets to end in order: statements in flight are killed,
// parts on disk are complete at every moment, so there is little to wait for.
const grace = 5 * time.Second

// openEngine takes the data directory, loads the library into this process and
// starts the engine in it. stop ends all three.
func openEngine(life context.Context, o order, log *slog.Logger) (srv *http.Server, stop func() error, version string, err error) {
	// A predecessor whose parent was killed may still be on its way out.
	lock, err := lockWithin(life, filepath.Join(o.Dir, "child.lock"), o.Patience)
	if err != nil {
		return nil, nil, "", err
	}
	defer func() {
		if err != nil {
			_ = lock.Close()
		}
	}()
	config := filepath.Join(o.Dir, "config.xml")
	if err := os.WriteFile(config, []byte(serverConfig(o.Memory, o.Extra)), 0o600); err != nil {
		return nil, nil, "", fmt.Errorf("write the engine's configuration: %w", err)
	}
	lib, err := loadC(o.Library)
	if err != nil {
		return nil, nil, "", err
	}
	_ = guardSignals(func() error { lib.setSignalHandlersEnabled(0); return nil })
	args := []string{"clickhouse", "--path=" + filepath.Join(o.Dir, "data"), "--config-file=" + config}
	if o.Users != "" {
		users := filepath.Join(o.Dir, "users.xml")
		if err := os.WriteFile(users, []byte(o.Users), 0o600); err != nil {
			return nil, nil, "", fmt.Errorf("write the engine's users: %w", err)
		}
		args = append(args, "--users_config="+users)
	}
	p, err := newPool(lib, args, sessionSettings(o.Memory), o.Sessions, log)
	if err != nil {
		return nil, nil, "", fmt.Errorf("start the engine in %s: %w", o.Dir, err)
	}
	r, err := p.killer.run(statement{sql: "SELECT version()", format: "TSVRaw"})
	if err != nil {
		return nil, nil, "", fmt.Errorf("ask the engine its version: %w", err)
	}
	version = string(r.bytes()[:max(0, len(r.bytes())-1)])
	r.free()

	requests, cancel := context.WithCancel(context.Background())
	srv = &http.Server{
		Handler:           &front{pool: p, version: version},
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    4 << 20, // statements may come in the URL
		BaseContext:       func(net.Listener) context.Context { return requests },
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stop = func() error {
		ctx, done := context.WithTimeout(context.Background(), grace-time.Second)
		defer done()
		cancel() // kills what still runs
		err := srv.Shutdown(ctx)
		if !p.close(ctx) {
			err = errors.Join(err, errors.New("the engine did not stop in order"))
		}
		return errors.Join(err, lock.Close())
	}
	return srv, stop, version, nil
}

// serverConfig is the engine's own configuration: a database of one machine
// that shares two cores with everything else.
//
// Background pools are a thread or two each. With pools that small the three
// thresholds of merge_tree below must come down too, or the engine refuses to
// create a table. The memory worker gives freed pages back early, for what the
// allocator keeps counts towards our one gigabyte. fsync: an acknowledged insert
// survives a power cut.
func serverConfig(memory int64, extra string) string {
	return `<clickhouse>
` + extra + `
	<max_server_memory_usage>` + strconv.FormatInt(memory, 10) + `</max_server_memory_usage>
	<memory_worker_purge_dirty_pages_threshold_ratio>0.1</memory_worker_purge_dirty_pages_threshold_ratio>
	<memory_worker_purge_total_memory_threshold_ratio>0.5</memory_worker_purge_total_memory_threshold_ratio>
	<mark_cache_size>16777216</mark_cache_size>
	<primary_index_cache_size>16777216</primary_index_cache_size>
	<uncompressed_cache_size>0</uncompressed_cache_size>
	<index_uncompressed_cache_size>0</index_uncompressed_cache_size>
	<index_mark_cache_size>4194304</index_mark_cache_size>
	<query_condition_cache_size>8388608</query_condition_cache_size>
	<background_pool_size>2</background_pool_size>
	<background_schedule_pool_size>4</background_schedule_pool_size>
	<background_common_pool_size>2</background_common_pool_size>
	<background_move_pool_size>1</background_move_pool_size>
	<background_fetches_pool_size>1</background_fetches_pool_size>
	<background_buffer_flush_schedule_pool_size>1</background_buffer_flush_schedule_pool_size>
	<background_distributed_schedule_pool_size>1</background_distributed_schedule_pool_size>
	<background_message_broker_schedule_pool_size>1</background_message_broker_schedule_pool_size>
	<max_thread_pool_free_size>16</max_thread_pool_free_size>
	<timezone>UTC</timezone>
	<merge_tree>
		<fsync_after_insert>1</fsync_after_insert>
		<fsync_part_directory>1</fsync_part_directory>
		<number_of_free_entries_in_pool_to_execute_mutation>2</number_of_free_entries_in_pool_to_execute_mutation>
		<number_of_free_entries_in_pool_to_lower_max_size_of_merge>2</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
		<number_of_free_entries_in_pool_to_execute_optimize_entire_partition>2</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
	</merge_tree>
</clickhouse>
`
}

// sessionSettings are in force in every session unless a request says otherwise.
func sessionSettings(memory int64) []setting {
	return []setting{
		// The library inserts asynchronously by default: it acknowledges before
		// the part is on disk, which would break "answer only after the ack".
		{"async_insert", "0"},
		{"max_threads", "2"},
		{"max_insert_threads", "1"},
		// One query may have half of the engine's cap, so that an insert always
		// finds room beside it.
		{"max_memory_usage", strconv.FormatInt(memory/2, 10)},
		// INSERT ... SELECT gathers a quarter of a gigabyte per part by default.
		// This does not split a batch that a client sends as one block.
		{"min_insert_block_size_bytes", strconv.FormatInt(memory/10, 10)},
		{"session_timezone", "UTC"},
		// Filters that are merged are run as a chain that copies every column at
		// each link, and expressions that are lifted above a union are planned
		// once more for each branch. Our views are unions under filters: a day of
		// one user took 24.0 ms with both and 20.4 without.
		{"query_plan_merge_filters", "0"},
		{"query_plan_lift_up_union", "0"},
		{"implicit_select", "0"}, // a bare "1 + 1" is a syntax error, as on a server
	}
}
