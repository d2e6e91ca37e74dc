package ledger

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/schemas"
)

// A copy of the ledger is a file of lines. Each but the last is a record of a
// table that counts, as it is in Kafka: what was sealed is sealed, and the file is
// worth nothing without the keyset. The last one says how many there are, so that
// half a file is known for what it is.

// copied is a line of a copy.
type copied struct {
	Table  string `json:"table,omitempty"` // the topic's name without its prefix
	Key    string `json:"key,omitempty"`
	Schema string `json:"schema,omitempty"`
	Value  []byte `json:"value,omitempty"`

	Records *int `json:"records,omitempty"` // of the last line only
}

// ErrCopy says that a file is no whole copy of a ledger.
var ErrCopy = errors.New("this is no whole copy of a ledger")

// Export writes what counts in the tables to w and returns the number of records.
// It changes nothing, and may run while an instance acts: of a change under way
// the copy may hold a part, as a crash would leave it.
func Export(ctx context.Context, cfg kafka.Config, topics schemas.Topics, w io.Writer, log *slog.Logger, opts ...kgo.Opt) (n int, err error) {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	for _, topic := range tables(topics) {
		rows, err := rowsOf(ctx, cfg, topic, log, opts)
		if err != nil {
			return n, err
		}
		for _, key := range slices.Sorted(maps.Keys(rows)) {
			r := rows[key]
			if err := enc.Encode(copied{Table: word(topics, topic), Key: key, Schema: kafka.Schema(r), Value: r.Value}); err != nil {
				return n, err
			}
			n++
		}
	}
	if err := enc.Encode(copied{Records: &n}); err != nil {
		return n, err
	}
	return n, out.Flush()
}

// Restore writes what the tables lack of a copy and returns the number of records,
// as a term of its own: an instance that acts meanwhile loses its term. What a table
// holds is newer than any copy and stays, but for a vault record that is none; and
// of a tenant that erased somebody since nothing is restored, for it might be him.
// The file is read whole before anything is written, and the vault is written
// first. Killed in between, a repeat does the rest.
func Restore(ctx context.Context, cfg kafka.Config, topics schemas.Topics, r io.Reader, log *slog.Logger, opts ...kgo.Opt) (n int, err error) {
	records, err := parseCopy(topics, r)
	if err != nil {
		return 0, err
	}
	l := &Ledger{cfg: Config{Kafka: cfg, KafkaOptions: opts, Topics: topics, Instance: "restore", Log: log}, now: time.Now, log: log}
	t, err := l.newTerm(ctx)
	if err != nil {
		return 0, err
	}
	defer t.open()()
	if err := t.win(); err != nil {
		return 0, t.cause(err)
	}
	t.mu.Lock()
	lacking := slices.DeleteFunc(records, func(r *kgo.Record) bool { return t.found.has(topics, r) })
	t.mu.Unlock()
	const batch = 500
	for part := range slices.Chunk(lacking, batch) {
		for _, r := range part {
			table.Stamp(r, t.epoch.Load())
		}
		if err := t.write(part...); err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

// has says that a record of a copy is not to be restored.
func (f *found) has(topics schemas.Topics, r *kgo.Record) (has bool) {
	key, tenant := string(r.Key), schemas.Tenant("")
	switch r.Topic {
	case topics.Vault:
		var held record
		now := f.vault[key]
		has = now != nil && kafka.Schema(now) == schemas.VaultSchema && json.Unmarshal(now.Value, &held) == nil && string(held.Tenant) == key
		tenant = schemas.Tenant(key)
	case topics.Connections:
		_, has = f.connections[key]
		if conn, err := schemas.ParseConnection(r.Value); err == nil {
			tenant = conn.Tenant
		}
	case topics.Mappings:
		_, has = f.mappings[key]
		tenant, _, _ = schemas.ParseMappingKey(key)
	case topics.Erasures:
		_, has = f.erasures[key]
		return has
	}
	for _, e := range f.erasures {
		has = has || e.Tenant == tenant
	}
	return has
}

// parseCopy reads the records of a copy, the vault's first.
func parseCopy(topics schemas.Topics, r io.Reader) (records []*kgo.Record, err error) {
	known := make(map[string]string)
	for _, topic := range tables(topics) {
		known[word(topics, topic)] = topic
	}
	dec, end := json.NewDecoder(r), false
	for line := 1; ; line++ {
		var c copied
		switch err := dec.Decode(&c); {
		case errors.Is(err, io.EOF) && end:
			slices.SortStableFunc(records, func(a, b *kgo.Record) int { return rank(topics, a.Topic) - rank(topics, b.Topic) })
			return records, nil
		case err != nil:
			return nil, fmt.Errorf("%w: line %d", ErrCopy, line)
		case end, c.Records != nil && *c.Records != len(records):
			return nil, fmt.Errorf("%w: line %d counts other than %d records", ErrCopy, line, len(records))
		case c.Records != nil:
			end = true
		case known[c.Table] == "" || c.Key == "":
			return nil, fmt.Errorf("%w: line %d", ErrCopy, line)
		default:
			records = append(records, kafka.Record(known[c.Table], c.Key, c.Schema, c.Value))
		}
	}
}

func rank(topics schemas.Topics, topic string) int { return slices.Index(tables(topics), topic) }

// word is a topic's name without its prefix.
func word(topics schemas.Topics, topic string) string {
	return strings.TrimPrefix(topic, strings.TrimSuffix(topics.Vault, "vault"))
}

// rowsOf reads a table to its end: of each key the record that counts.
func rowsOf(ctx context.Context, cfg kafka.Config, topic string, log *slog.Logger, opts []kgo.Opt) (rows map[string]*kgo.Record, err error) {
	reader, err := kafka.NewReader(cfg, topic, log, nil, opts...)
	if err != nil {
		return nil, err
	}
	rows = make(map[string]*kgo.Record)
	tbl := table.NewLog(reader, topic, log, func(records []table.Record, _ uint64) {
		for _, r := range records {
			switch {
			case r.Late:
			case r.Value == nil:
				delete(rows, string(r.Key))
			default:
				rows[string(r.Key)] = r.Record
			}
		}
	})
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- tbl.Run(ctx) }()
	err = tbl.CatchUp(ctx)
	stop()
	return rows, errors.Join(err, <-ended)
}
