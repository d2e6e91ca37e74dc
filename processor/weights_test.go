package processor_test

import (
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/worksights/halo-connector/processor"
)

func TestWeightsThatMakeNoSenseAreRefused(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, tt := range []struct {
		name  string
		w     processor.Weights
		wrong []string // what the error names; none: valid
	}{
		{"the defaults", processor.DefaultWeights(), nil},
		{"the smallest and the largest", processor.Weights{1, 1, 1, math.SmallestNonzeroFloat32}, nil},
		{"just below the others", processor.Weights{0.5, 0.5, 0.5, math.Nextafter32(0.5, 0)}, nil},
		{"none at all", processor.Weights{}, []string{"ticket_logged", "status_changed", "updated_by_agent", "updated_by_user"}},
		{"ticket_logged zero", processor.Weights{0, 1, 1, 0.25}, []string{"ticket_logged"}},
		{"status_changed negative", processor.Weights{1, -1, 1, 0.25}, []string{"status_changed"}},
		{"updated_by_agent above 1", processor.Weights{1, 1, math.Nextafter32(1, 2), 0.25}, []string{"updated_by_agent"}},
		{"updated_by_user zero", processor.Weights{1, 1, 1, 0}, []string{"updated_by_user"}},
		{"no number", processor.Weights{nan, 1, 1, 0.25}, []string{"ticket_logged"}},
		{"no number below", processor.Weights{1, 1, 1, nan}, []string{"updated_by_user"}},
		{"infinite", processor.Weights{1, inf, 1, 0.25}, []string{"status_changed"}},
		{"a user's update as heavy as a new ticket", processor.Weights{0.25, 1, 1, 0.25}, []string{"below ticket_logged"}},
		{"a user's update as heavy as a change", processor.Weights{1, 0.25, 1, 0.25}, []string{"below status_changed"}},
		{"a user's update heavier than an agent's", processor.Weights{1, 1, 0.25, 0.5}, []string{"below updated_by_agent"}},
	} {
		err := tt.w.Validate()
		if (err == nil) != (tt.wrong == nil) || err != nil && !errors.Is(err, processor.ErrWeights) {
			t.Errorf("%s: %v", tt.name, err)
		}
		for _, word := range tt.wrong {
			if err != nil && !strings.Contains(err.Error(), word) {
				t.Errorf("%s: the error does not name %s: %v", tt.name, word, err)
			}
		}
	}
}

func TestAProcessorWithWeightsThatMakeNoSenseIsNotMade(t *testing.T) {
	p, err := processor.New(processor.Config{}, processor.Clients{}, nil, nil, slog.New(slog.DiscardHandler), nil)
	if p != nil || !errors.Is(err, processor.ErrWeights) {
		t.Errorf("New = %v, %v", p, err)
	}
}
