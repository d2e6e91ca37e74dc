// Package names knows every metric that the connector has, by asking the
// constructors of all stages. A list would be a second truth: a metric that is
// renamed in its stage is gone from here at once, and whatever still asks for
// the old name fails.
package names

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/worksights/halo-connector/connect"
	"github.com/worksights/halo-connector/connect/access"
	"github.com/worksights/halo-connector/connect/api"
	"github.com/worksights/halo-connector/connect/care"
	"github.com/worksights/halo-connector/connect/vault"
	"github.com/worksights/halo-connector/ingest"
	"github.com/worksights/halo-connector/internal/fresh"
	"github.com/worksights/halo-connector/internal/kafka"
	"github.com/worksights/halo-connector/internal/metric"
	"github.com/worksights/halo-connector/internal/table"
	"github.com/worksights/halo-connector/processor"
	"github.com/worksights/halo-connector/schemas"
	"github.com/worksights/halo-connector/sink"
)

// Metric is one metric as its constructor describes it.
type Metric struct {
	Name   string
	Help   string
	Labels []string // in no order
	// Values are those that a label had before anything was counted: all of
	// them, where the set is closed.
	Values map[string][]string
}

// Known are all metrics by their names. Nothing is dialled.
type Known map[string]Metric

// catalogue is a registerer that asks each collector to describe itself, and
// asks again for the series that are there from the start. Vectors describe
// themselves before their first series.
type catalogue struct {
	known      Known
	collectors []prometheus.Collector
	err        error
}

var described = regexp.MustCompile(`^Desc\{fqName: "([^"]+)", help: ("(?:[^"\\]|\\.)*"), .*constLabels: \{(.*?)\}, variableLabels: \{(.*?)\}\}$`)

func (c *catalogue) Register(collector prometheus.Collector) error {
	c.collectors = append(c.collectors, collector)
	descs := make(chan *prometheus.Desc)
	go func() { collector.Describe(descs); close(descs) }()
	for d := range descs {
		m := described.FindStringSubmatch(d.String())
		if m == nil {
			c.err = fmt.Errorf("cannot read the description %s", d)
			continue
		}
		entry := Metric{Name: m[1], Help: m[2], Values: make(map[string][]string)}
		for _, pair := range strings.Split(m[3], ",") {
			if name, _, ok := strings.Cut(pair, "="); ok {
				entry.Labels = append(entry.Labels, name)
			}
		}
		for _, name := range strings.Split(m[4], ",") {
			if name != "" {
				entry.Labels = append(entry.Labels, name)
			}
		}
		c.known[entry.Name] = entry
	}
	return nil
}

func (c *catalogue) MustRegister(cs ...prometheus.Collector) {
	for _, one := range cs {
		_ = c.Register(one)
	}
}

func (c *catalogue) Unregister(prometheus.Collector) bool { return true }

// Gather makes every stage once, as its program does, and returns what their
// metrics are. dir is for a keyset.
func Gather(dir string) (Known, error) {
	reg, log := &catalogue{known: make(Known)}, slog.New(slog.DiscardHandler)
	metric.Process(reg, "names")
	metric.Disk(reg, "kafka", func() (uint64, uint64, error) { return 0, 0, nil })
	metric.Ready(reg, func(func(string, bool)) {})
	metric.Anew(reg, 0)

	cfg, topics := kafka.Config{Brokers: []string{"127.0.0.1:1"}, ClientID: "names"}, schemas.NewTopics("halo.")
	producer, err := kafka.NewProducer(cfg, log, reg)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	kafka.NewWatch(cfg, "names", kafka.Needs{}, log, reg)
	consumer, err := kafka.NewConsumer(cfg, "names", []string{topics.Events}, log, reg)
	if err != nil {
		return nil, err
	}
	defer consumer.CloseAllowingRebalance()
	reader, err := kafka.NewReader(cfg, topics.Mappings, log, reg)
	if err != nil {
		return nil, err
	}
	defer reader.Close()

	connections := table.New(reader, topics.Connections, ingest.ParseConnection, log, reg)
	if _, err := ingest.New(ingest.Config{}, connections, ingest.NewKafkaLog(producer, topics, reg), log, reg); err != nil {
		return nil, err
	}
	mappings := table.New(reader, topics.Mappings, processor.ParseHistory, log, reg)
	if _, err := processor.New(processor.Config{Input: topics.Events, Output: topics, Weights: processor.DefaultWeights()},
		processor.Clients{}, mappings, nil, log, reg); err != nil {
		return nil, err
	}
	sink.New(sink.Config{Topics: topics}, sink.Clients{}, nil, nil, log, reg)
	if err := control(dir, cfg, topics, log, reg); err != nil {
		return nil, err
	}
	reg.values()
	return reg.known, reg.err
}

// values notes which values labels have from the start.
func (c *catalogue) values() {
	for _, collector := range c.collectors {
		series := make(chan prometheus.Metric)
		go func() { collector.Collect(series); close(series) }()
		for s := range series {
			var out dto.Metric
			m := described.FindStringSubmatch(s.Desc().String())
			if m == nil || s.Write(&out) != nil {
				continue
			}
			values := c.known[m[1]].Values
			for _, l := range out.GetLabel() {
				values[l.GetName()] = append(values[l.GetName()], l.GetValue())
			}
		}
	}
}

func control(dir string, cfg kafka.Config, topics schemas.Topics, log *slog.Logger, reg prometheus.Registerer) error {
	keyset, file := dir+"/keyset.json", dir+"/api-tokens"
	if err := vault.NewKeyset(keyset); err != nil {
		return err
	}
	if _, err := access.New(file, access.Grant{Name: "names"}); err != nil {
		return err
	}
	sealer, err := vault.Open(keyset, fresh.Options{Log: log, Registry: reg})
	if err != nil {
		return err
	}
	tokens, err := access.Open(file, fresh.Options{Log: log, Registry: reg})
	if err != nil {
		return err
	}
	_, err = connect.New(connect.Config{
		Kafka: cfg, Topics: topics, Group: "names", IngestURL: "https://hooks.example", Sealer: sealer, Tokens: tokens,
		Outcomes: unasked{}, Eraser: unasked{}, Reads: unasked{}, Log: log, Registry: reg,
	})
	return err
}

// unasked is all that connect would ask of ClickHouse.
type unasked struct {
	care.Outcomes
	care.Eraser
	api.Reads
}
