package control_test

import (
	"slices"
	"testing"

	"github.com/worksights/halo-connector/internal/control"
)

func TestProgressIsToldToWhoAskedAndToNobodyElse(t *testing.T) {
	var told []string
	ctx := control.WithProgress(t.Context(), func(step string) { told = append(told, step) })
	for _, step := range control.ConnectSteps() {
		control.Progress(ctx, step)
		control.Progress(t.Context(), step)
	}
	if !slices.Equal(told, control.ConnectSteps()) {
		t.Errorf("told %v", told)
	}
}
