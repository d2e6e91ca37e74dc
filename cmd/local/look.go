package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/internal/kafka"
)

// sql asks the embedded ClickHouse as curl would, and returns the lines of its
// answer.
func (h *house) sql(ctx context.Context, query string) ([]string, error) {
	u := "http://" + h.ports.clickhouse() + "/?" + url.Values{"database": {"worksights"}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u, strings.NewReader(query))
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ClickHouse: %s", resp.Status)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n"), nil
}

// read calls record for every record that the topic holds now.
func (h *house) read(ctx context.Context, topic string, record func(value []byte) error) error {
	cl, err := kafka.NewReader(h.kafka().Client("local"), topic, h.log, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer cl.Close()
	ends, err := kafka.EndOffsets(ctx, cl, topic)
	if err != nil {
		return err
	}
	left := int64(0)
	for _, end := range ends {
		left += end // fresh data: every partition begins at 0
	}
	for left > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return err
		}
		for r := range fetches.RecordsAll() {
			left--
			if err := record(r.Value); err != nil {
				return err
			}
		}
	}
	return nil
}
