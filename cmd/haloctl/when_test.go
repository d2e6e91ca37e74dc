package main

import (
	"errors"
	"testing"
	"time"
)

func TestTimesAsPeopleWriteThem(t *testing.T) {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"1d": now.AddDate(0, 0, -1), "2w": now.AddDate(0, 0, -14), "1.5d": now.Add(-36 * time.Hour), "-1d": now.AddDate(0, 0, -1), "90m": now.Add(-90 * time.Minute),
		"2026-11-24": time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC), "2026-11-24 08:00:01": time.Date(2026, 11, 24, 8, 0, 1, 0, time.UTC),
		"2026-11-24 08:00:01 UTC": time.Date(2026, 11, 24, 8, 0, 1, 0, time.UTC), "2026-11-24 08:00": time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC),
		"2026-11-24T08:00:00+01:00": time.Date(2026, 11, 24, 7, 0, 0, 0, time.UTC),
	} {
		if got, err := instant(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "noon", "1x", "nand", "infd", "2026-02-30"} {
		if got, err := instant(text, now); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	shown := now.Add(-time.Hour)
	if got, err := instant(when(&shown), now); err != nil || !got.Equal(shown) {
		t.Errorf("%q, as it is shown, is %v, %v", when(&shown), got, err)
	}
	for _, c := range [][2]string{{"1d", "2d"}, {"2026-12-02", ""}, {"1d", "1d"}} {
		if _, _, err := bounds(c[0], c[1], now); !errors.Is(err, errUsage) {
			t.Errorf("%v: %v", c, err)
		}
	}
}
