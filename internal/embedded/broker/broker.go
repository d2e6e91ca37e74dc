// Package broker runs a single-node Kafka broker inside the process, for one
// machine: franz-go's kfake with a data directory.
//
// For plain records and committed offsets it promises what a broker promises
// that does not flush on each write: what it acknowledged survives the end of
// the process, however it ends (kill -9 included). It survives a loss of power
// only with [Config.SyncWrites]. It makes no promise on transactions and on
// compaction, which a crash breaks; so topics that would be compacted are kept
// whole, see [TopicOptions].
//
// What keeps it true, where kfake alone would not:
//
//   - One process per directory: a lock that the kernel drops with its holder.
//   - No write is taken when the disk is nearly full, since kfake answers
//     "success" to some of what it could not write. Should a write fail all the
//     same, nothing more is taken and [Broker.Run] fails: a restart recovers
//     the log up to its last whole record.
//   - A consumer that was killed while it joined its group does not keep its
//     partitions.
//   - Retention is applied by a timer of ours; kfake's own does not run after a
//     restart.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
)

var (
	// ErrLocked says that another process uses the data directory.
	ErrLocked = errors.New("another process uses this data directory")
	// ErrAddr says that the address is not one of this machine only: the
	// broker knows no users, so nobody else may reach it.
	ErrAddr = errors.New("embedded broker listens on 127.0.0.1 only")
	// ErrDisk says that a write failed; what was acknowledged is on disk, and
	// the process must start anew.
	ErrDisk = errors.New("embedded broker could not write")
	// ErrSpace says that writes are refused until there is room on the disk.
	ErrSpace = errors.New("too little free space on the broker's disk")
)

// DefaultMinFree is the free space in bytes below which records are refused.
// It leaves room for what the other programs on the disk need to shut down, and
// for committed offsets, which are still taken.
const DefaultMinFree = 512 << 20

// Config of a broker; Dir is required.
type Config struct {
	Dir     string // made when missing, readable by the owner only
	Addr    string // 127.0.0.1:port; port 0 takes a free one
	MinFree uint64 // bytes; 0: DefaultMinFree
	// SyncWrites flushes every record to the disk before it is acknowledged:
	// half a millisecond each on a quiet disk, hundreds on a busy one.
	SyncWrites bool
	// Free measures the free bytes of the disk that holds a directory; nil
	// asks the operating system.
	Free func(dir string) (uint64, error)
	// Listen makes the listener and Dial reaches it; nil asks the operating system.
	// A test in virtual time hands in a network in memory.
	Listen func(network, address string) (net.Listener, error)
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
}

func (c Config) port() (int, error) {
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil || (host != "127.0.0.1" && host != "localhost") {
		return 0, fmt.Errorf("%w: %q", ErrAddr, c.Addr)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%w: %q", ErrAddr, c.Addr)
	}
	return int(n), nil
}

// TopicOptions is how topics are to be created on this broker.
//
// Nothing is compacted. Three partitions per topic, since there is one process
// to share them. 256 MiB each: the broker reads its whole log when it starts
// and keeps an index of every batch in memory, 100 bytes or so. For one busy
// tenant that is about half a million events, which is also how much may wait
// for a database that is away before the oldest are lost.
func TopicOptions() kafka.TopicOptions {
	return kafka.TopicOptions{Partitions: 3, Replication: 1, NoCompaction: true, MaxBytes: 256 << 20}
}

// configs of the broker. What a topic sets goes first.
func configs() map[string]string {
	return map[string]string{
		// Retention removes whole files, so small ones keep the bound of a
		// topic within a few percent, and the start reads one at a time.
		"log.segment.bytes": strconv.Itoa(16 << 20),
		// Longer than any topic keeps its records. With the default of seven
		// days, a machine switched off for two weeks would process a month of
		// events again.
		"offsets.retention.minutes": strconv.Itoa(100 * 24 * 60),
	}
}

// Broker is a running broker.
type Broker struct {
	cfg     Config
	log     *slog.Logger
	cluster *kfake.Cluster
	addr    string
	unlock  func() error

	broken  chan string           // what could not be written; the first is kept
	refused atomic.Pointer[error] // why no record is taken, for Ready
	refusal *kfake.FaultHandle    // what refuses them; the watch's own

	self    *kgo.Client // asks the broker what only a client may
	ghosts  *Ghosts
	stop    context.CancelFunc
	watched chan struct{} // closed when the watch has ended
	close   func() error
}

// Start starts a broker on cfg.Dir and returns once it answers. It reads the
// whole log first: a second per gigabyte or so. It fails with ErrLocked where
// another process has the directory, and where the port is taken.
// The broker lives until Close, or until the end of Run; not until ctx is done,
// since those who still finish their work need it.
func Start(ctx context.Context, cfg Config, log *slog.Logger) (*Broker, error) {
	port, err := cfg.port()
	if err != nil {
		return nil, err
	}
	if cfg.Dir == "" {
		return nil, errors.New("embedded broker without a data directory")
	}
	if cfg.MinFree == 0 {
		cfg.MinFree = DefaultMinFree
	}
	if cfg.Free == nil {
		cfg.Free = freeBytes
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	unlock, err := lock(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}

	b := &Broker{cfg: cfg, log: log, unlock: unlock, broken: make(chan string, 1), watched: make(chan struct{})}
	opts := []kfake.Opt{
		kfake.Ports(port),
		kfake.DataDir(cfg.Dir),
		kfake.ClusterID("halo-connector-embedded"),
		kfake.BrokerConfigs(configs()),
		kfake.WithLogger(logger{log: log, broken: b.broken}),
	}
	if cfg.Listen != nil {
		opts = append(opts, kfake.ListenFn(cfg.Listen))
	}
	if cfg.SyncWrites {
		opts = append(opts, kfake.SyncWrites())
	}
	if b.cluster, err = kfake.NewCluster(opts...); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded broker: %w", err), unlock())
	}
	b.addr = b.cluster.ListenAddrs()[0]
	self := []kgo.Opt{kgo.SeedBrokers(b.addr), kgo.DisableClientMetrics()}
	if cfg.Dial != nil {
		self = append(self, kgo.Dialer(cfg.Dial))
	}
	if b.self, err = kgo.NewClient(self...); err != nil {
		b.cluster.Close()
		return nil, errors.Join(fmt.Errorf("embedded broker: %w", err), unlock())
	}
	b.ghosts = WatchGroups(b.cluster, b.self, log)
	b.neverCompact()
	wctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	b.close = sync.OnceValue(b.shutdown)
	// Before anyone is told the address: a disk that is full now takes nothing.
	b.mindSpace()
	go b.watch(wctx)
	return b, nil
}

// Addr is the host:port at which the broker listens.
func (b *Broker) Addr() string { return b.addr }

// Close ends the broker, cleanly: what is in memory is written, the directory
// is free afterwards. It fails with ErrDisk where that could not be written; the
// next start then recovers as after a kill. It may be called more than once.
func (b *Broker) Close() error { return b.close() }

// shutdown goes in this order: the watch first, which would otherwise ask a
// cluster that no longer answers; the lock last, when nothing writes any more.
func (b *Broker) shutdown() error {
	b.stop()
	<-b.watched
	b.self.Close()
	b.cluster.Close()
	var err error
	select {
	case what := <-b.broken:
		err = fmt.Errorf("%w: %s", ErrDisk, what)
	default:
	}
	return errors.Join(err, b.unlock())
}

// Run waits until ctx is done, closes the broker and returns nil; it fails with
// ErrDisk as soon as a write failed.
func (b *Broker) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-b.watched:
	}
	err := b.Close()
	if why := b.Ready(); errors.Is(why, ErrDisk) {
		return errors.Join(why, err)
	}
	return err
}

// Ready is nil while records are taken, else the reason why they are not.
func (b *Broker) Ready() error {
	if err := b.refused.Load(); err != nil {
		return *err
	}
	return nil
}
