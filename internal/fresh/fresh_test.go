package fresh_test

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/worksights/halo-connector/internal/fresh"
)

var errBad = errors.New("does not begin with good")

// word takes files that begin with "good" and may be written by their owner only.
func word(content []byte, info fs.FileInfo, held string) (string, error) {
	if info.Mode().Perm()&0o022 != 0 {
		return held, errors.New("others may write it")
	}
	if !bytes.HasPrefix(content, []byte("good")) {
		return held, errBad
	}
	return string(content), nil
}

type world struct {
	t    *testing.T
	path string
	now  time.Time
	log  bytes.Buffer
	reg  *prometheus.Registry
	*fresh.File[string]
}

func open(t *testing.T, parse fresh.Parse[string]) *world {
	w := &world{t: t, path: filepath.Join(t.TempDir(), "file"), now: time.Unix(1_800_000_000, 0), reg: prometheus.NewRegistry()}
	w.write("good 1")
	f, err := fresh.Open("SOME_FILE", w.path, parse, fresh.Options{
		Now: func() time.Time { return w.now }, Log: slog.New(slog.NewTextHandler(&w.log, nil)), Registry: w.reg,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.File = f
	return w
}

func (w *world) write(content string) {
	w.t.Helper()
	if err := os.WriteFile(w.path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) later() { w.now = w.now.Add(time.Second) }

func (w *world) is(want string) {
	w.t.Helper()
	if got := w.Get(); got != want {
		w.t.Errorf("%q counts, want %q", got, want)
	}
}

func (w *world) stale() float64 {
	w.t.Helper()
	all, err := w.reg.Gather()
	if err != nil || len(all) != 1 || all[0].GetName() != "halo_file_stale" || all[0].GetMetric()[0].GetLabel()[0].GetValue() != "SOME_FILE" {
		w.t.Fatalf("metrics %v, %v", all, err)
	}
	return all[0].GetMetric()[0].GetGauge().GetValue()
}

func TestAFileThatChangedCountsASecondLater(t *testing.T) {
	w := open(t, word)
	w.write("good 2") // the same length, and perhaps within one tick of the clock
	w.is("good 1")
	w.later()
	w.is("good 2")
	other := w.path + ".new"
	if err := errors.Join(os.WriteFile(other, []byte("good 3"), 0o600), os.Remove(w.path), os.Symlink(other, w.path)); err != nil {
		t.Fatal(err)
	}
	w.later()
	w.is("good 3")
	w.write("good 4")
	w.Reload()
	w.is("good 4")
}

func TestAFileThatCannotBeUsedTakesNothingAwayAndIsSaidOnce(t *testing.T) {
	w := open(t, word)
	for name, spoil := range map[string]func() error{
		"malformed":          func() error { return os.WriteFile(w.path, []byte("bad"), 0o600) },
		"gone":               func() error { return os.Remove(w.path) },
		"written by anybody": func() error { return os.Chmod(w.path, 0o666) },
	} {
		w.log.Reset()
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			w.later()
			w.is("good 1")
		}
		if w.Fault() == nil || w.stale() != 1 {
			t.Errorf("%s: fault %v, gauge %v, want the one and 1", name, w.Fault(), w.stale())
		}
		if n := strings.Count(w.log.String(), "cannot be used"); n != 1 {
			t.Errorf("%s: said %d times, want once:\n%s", name, n, &w.log)
		}
		// Mended by hand, to the very same content.
		w.write("good 1")
		if err := os.Chmod(w.path, 0o600); err != nil {
			t.Fatal(err)
		}
		w.later()
		w.is("good 1")
		if w.Fault() != nil || w.stale() != 0 {
			t.Errorf("%s, mended: fault %v, gauge %v, want none", name, w.Fault(), w.stale())
		}
	}
}

func TestAParserMaySaveAPartOfABadFile(t *testing.T) {
	w := open(t, func(content []byte, _ fs.FileInfo, _ string) (string, error) {
		if bytes.Contains(content, []byte("bad")) {
			return "a part", errBad
		}
		return string(content), nil
	})
	w.write("good and bad")
	w.later()
	w.is("a part")
	if err := w.Fault(); !errors.Is(err, errBad) {
		t.Errorf("fault %v, want %v", err, errBad)
	}
}

func TestAtFirstAFileThatCannotBeUsedIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if _, err := fresh.Open("SOME_FILE", path, word, fresh.Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := fresh.Open("SOME_FILE", filepath.Dir(path), word, fresh.Options{}); err == nil {
		t.Error("a directory was opened")
	}
	if err := os.WriteFile(path, []byte("bad"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := fresh.Open("SOME_FILE", path, word, fresh.Options{}); !errors.Is(err, errBad) {
		t.Errorf("a bad file: %v", err)
	}
}

func TestTwoThatFollowTheSameFileShareItsGauge(t *testing.T) {
	w := open(t, word)
	if _, err := fresh.Open("SOME_FILE", w.path, word, fresh.Options{Registry: w.reg}); err != nil {
		t.Fatal(err)
	}
}
