package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// engineTimeout bounds a command that prepares an engine: an operator who waits
// longer than this wants to be told that nobody answers.
const engineTimeout = 60 * time.Second

// done says in words, or as JSON, that a command did what it says.
func (s *streams) done(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	raw, err := json.Marshal(map[string]string{"done": text})
	if err != nil {
		return err
	}
	return s.show(raw, nil, func(w io.Writer) { fmt.Fprintln(w, text) })
}

// logger tells what an engine's client complains about.
func (s *streams) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
