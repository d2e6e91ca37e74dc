package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// clock is how instants are shown, in UTC as everywhere in the product. It can
// be given to --from as it is.
const clock = "2006-01-02 15:04:05"

// when shows an instant to people.
func when(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "never"
	}
	return t.UTC().Format(clock) + " UTC"
}

// cell shows an instant in a column that says UTC in its heading; empty where
// there is none.
func cell(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format(clock)
}

const timesHelp = `--from and --to take RFC 3339 times (2026-11-24T08:00:00Z), times in UTC as they
are shown ("2026-11-24 08:00:00"), dates (2026-11-24), or durations back from now
(90m, 36h, 7d, 2w). The first is inclusive, the second exclusive.`

// instant reads a time as people write one.
func instant(text string, now time.Time) (time.Time, error) {
	if d, err := span(text); err == nil {
		return now.Add(-d.Abs()).UTC(), nil
	}
	text = strings.TrimSuffix(text, " UTC")
	for _, form := range []string{time.RFC3339Nano, clock, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.Parse(form, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time, date or duration", text)
}

// span reads a duration: Go's, or days and weeks, which it has not.
func span(text string) (time.Duration, error) {
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			n, err := strconv.ParseFloat(number, 64)
			if err != nil || n != n || n < -1e5 || n > 1e5 {
				return 0, errors.New("no number before the unit")
			}
			return time.Duration(n * float64(length)), nil
		}
	}
	return time.ParseDuration(text)
}

// bounds reads --from and --to; what is not given is zero.
func bounds(from, to string, now time.Time) (a, b time.Time, err error) {
	for _, bound := range []struct {
		name, text string
		into       *time.Time
	}{{"from", from, &a}, {"to", to, &b}} {
		if bound.text == "" {
			continue
		}
		if *bound.into, err = instant(bound.text, now); err != nil {
			return a, b, fmt.Errorf("%w: --%s: %w", errUsage, bound.name, err)
		}
	}
	end := b
	if end.IsZero() {
		end = now
	}
	if !a.IsZero() && !a.Before(end) {
		return a, b, fmt.Errorf("%w: nothing is between --from and --to: %s is not before %s", errUsage, a.Format(clock), end.Format(clock))
	}
	return a, b, nil
}
