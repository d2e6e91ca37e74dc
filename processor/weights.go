package processor

import (
	"errors"
	"fmt"

	"github.com/worksights/halo-connector/schemas"
)

// Weights say how strong a signal of work each kind of event is.
type Weights struct {
	TicketLogged   float32
	StatusChanged  float32
	UpdatedByAgent float32
	UpdatedByUser  float32
}

// DefaultWeights count an update by a user a quarter: it makes work for the
// assignee but was not done by him.
func DefaultWeights() Weights {
	return Weights{TicketLogged: 1, StatusChanged: 1, UpdatedByAgent: 1, UpdatedByUser: 0.25}
}

// ErrWeights says that weights make no sense.
var ErrWeights = errors.New("weights")

// Validate reports everything that is wrong with the weights, joined: each has
// to be above 0 and at most 1, and UpdatedByUser below all others, since an
// agent must not be shown as busier for what his customers did than for what he
// did himself. Errors wrap [ErrWeights].
func (w Weights) Validate() error {
	return w.ValidateAs(func(k schemas.Kind) string { return string(k) })
}

// ValidateAs is Validate, where the weights go by other names than their kinds'.
func (w Weights) ValidateAs(name func(schemas.Kind) string) error {
	var errs []error
	for _, kind := range schemas.Kinds() {
		v := w.of(kind)
		if !(v > 0 && v <= 1) { // so that NaN is refused too
			errs = append(errs, fmt.Errorf("%w: %s is %v, want 0 < w <= 1", ErrWeights, name(kind), v))
		}
		if kind != schemas.UpdatedByUser && !(w.UpdatedByUser < v) {
			errs = append(errs, fmt.Errorf("%w: %s is %v, want it below %s, which is %v", ErrWeights, name(schemas.UpdatedByUser), w.UpdatedByUser, name(kind), v))
		}
	}
	return errors.Join(errs...)
}

func (w Weights) of(k schemas.Kind) float32 {
	switch k {
	case schemas.TicketLogged:
		return w.TicketLogged
	case schemas.StatusChanged:
		return w.StatusChanged
	case schemas.UpdatedByAgent:
		return w.UpdatedByAgent
	default:
		return w.UpdatedByUser
	}
}
