package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/worksights/halo-connector/internal/control"
	"github.com/worksights/halo-connector/internal/harmless"
	"github.com/worksights/halo-connector/schemas"
)

// invalid refuses a request that says what cannot be.
func invalid(format string, args ...any) *control.Refusal {
	return control.Refuse(http.StatusBadRequest, "invalid", format, args...)
}

// problem turns an error into what the caller is told: 4xx where he can do
// something, 502 and 504 where Halo is the trouble, 503 where we are.
func problem(rt *route, err error) *control.Refusal {
	if e, ok := errors.AsType[*control.Refusal](err); ok {
		return e
	}
	switch {
	case rt.everywhere: // the read model, which has nothing else to say
		return control.ErrNoTimeline
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return control.Refuse(http.StatusGatewayTimeout, "halo_timeout", "Halo did not answer in time.")
	}
	return control.Refuse(http.StatusInternalServerError, "internal", "Something went wrong here. The log says what.")
}

// failure is a refusal in the form in which huma writes errors.
type failure struct{ *control.Refusal }

var (
	_ huma.StatusError  = failure{}
	_ huma.HeadersError = failure{}
)

func (f failure) GetStatus() int { return f.Status }

// GetHeaders says when to try again.
func (f failure) GetHeaders() http.Header {
	h := make(http.Header)
	if after := retryAfter(f.Refusal); after > 0 {
		h.Set("Retry-After", strconv.Itoa(int(after.Seconds())))
	}
	return h
}

// MarshalJSON is the body of an error.
func (f failure) MarshalJSON() ([]byte, error) {
	return json.Marshal(control.ErrorBody{Error: *f.Refusal})
}

// retryAfter is when to try again: whatever is ours mends itself or is mended
// soon.
func retryAfter(r *control.Refusal) time.Duration {
	if r.RetryAfter == 0 && r.Status == http.StatusServiceUnavailable {
		return 5 * time.Second
	}
	return r.RetryAfter
}

// fail writes an error where huma does not.
func fail(w http.ResponseWriter, r *control.Refusal) {
	f := failure{r}
	for name, values := range f.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(r.Status)
	_ = json.NewEncoder(w).Encode(f) // whoever hung up is told nothing
}

// mistaken puts what huma says of a request into our words: whatever is wrong
// with one is 400, but for one that is too large.
func mistaken(m *huma.ErrorModel) failure {
	if m.Status == http.StatusRequestEntityTooLarge {
		return failure{control.Refuse(m.Status, "too_large", "The request is longer than %d MiB.", maxBody>>20)}
	}
	const most = 3 // of a file with a thousand wrong lines, three tell enough
	var faults []string
	for i, d := range m.Errors {
		if i == most {
			faults = append(faults, "and "+strconv.Itoa(len(m.Errors)-most)+" more")
			break
		}
		fault := d.Message
		for _, noise := range []string{"invalid value: ", schemas.ErrMalformed.Error() + ": "} {
			fault = strings.TrimPrefix(fault, noise)
		}
		if d.Location != "" {
			fault = d.Location + ": " + fault
		}
		faults = append(faults, fault)
	}
	message := m.Detail
	if len(faults) > 0 {
		message = strings.Join(faults, "; ")
	}
	return failure{invalid("%s.", harmless.Text(message))}
}
