package care

import (
	"context"
	"errors"
	"net/http"

	"github.com/worksights/halo-connector/connect/halopsa"
	"github.com/worksights/halo-connector/connect/ledger"
	"github.com/worksights/halo-connector/internal/control"
)

// explain puts an error in the words of the API: 4xx where the caller can do
// something, 502 and 504 where Halo is the trouble, 503 where we are. What it
// does not know passes through.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if refused, ok := errors.AsType[*control.Refusal](err); ok {
		return refused
	}
	if e, ok := errors.AsType[*halopsa.Error](err); ok {
		r := control.Refuse(statusOf(e), string(e.Cause), "%s %s", e.Message, e.Action)
		r.RetryAfter = e.RetryAfter
		return r
	}
	switch {
	case errors.Is(err, ledger.ErrStandby):
		return control.ErrStandby
	case errors.Is(err, ledger.ErrUnavailable):
		return control.ErrNotKept
	case errors.Is(err, ledger.ErrSealed):
		return control.ErrSealed
	case errors.Is(err, ledger.ErrTooLarge):
		return control.Refuse(http.StatusRequestEntityTooLarge, "too_large",
			"The tenant's users and agents together are more than can be kept. Give only the users who work in Halo.")
	case errors.Is(err, errBusy):
		return control.ErrBusy
	case errors.Is(err, context.DeadlineExceeded):
		return control.Refuse(http.StatusGatewayTimeout, "halo_timeout", "Halo did not answer in time.")
	}
	return err
}

// statusOf says who has to act on a failure of Halo.
func statusOf(e *halopsa.Error) int {
	switch e.Cause {
	case halopsa.Unreachable:
		if errors.Is(e, context.DeadlineExceeded) {
			return http.StatusGatewayTimeout
		}
		return http.StatusBadGateway
	case halopsa.HaloError, halopsa.RateLimited, halopsa.NotFound, halopsa.ListIncomplete:
		return http.StatusBadGateway
	}
	return http.StatusUnprocessableEntity
}
