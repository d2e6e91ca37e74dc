package ingest

import (
	"net/http"
	"strconv"
	"time"
)

// refusal is an answer other than 200. There is a fixed set of them, so that
// nothing of a request can get into its answer.
type refusal struct {
	status  int
	result  result // "" for a request that is none of ours
	code    string
	message string

	// closes ends the connection with the answer. net/http otherwise reads a
	// short body to its end before it sends the answer, and would wait half a
	// minute for a sender who sends none; whoever is refused before his body
	// was read is answered at once.
	closes bool

	header, value string
}

// The answers.
var (
	refusedPath = &refusal{
		status: http.StatusNotFound, code: "not_found",
		message: "there is nothing at this path; deliveries are posted to /v1/webhooks/halo/{connection}", closes: true,
	}
	refusedNotFound = &refusal{
		status: http.StatusNotFound, result: notFound, code: "not_found",
		message: "there is no webhook at this path; deliveries are posted to /v1/webhooks/halo/{connection}", closes: true,
	}
	refusedMethod = &refusal{
		status: http.StatusMethodNotAllowed, result: notFound, code: "method_not_allowed",
		message: "deliveries are posted", header: "Allow", value: http.MethodPost, closes: true,
	}

	// One answer for an unknown connection and for a wrong secret.
	refusedSecret = &refusal{
		status: http.StatusUnauthorized, result: unauthorized, code: "unauthorized",
		message: "the connection or its secret is not known", header: "WWW-Authenticate", value: `Basic realm="halo-connector"`, closes: true,
	}

	refusedOpen = &refusal{
		status: http.StatusTooManyRequests, result: rateLimited, code: "rate_limited",
		message: "too many deliveries of this connection are open", header: "Retry-After", value: "1", closes: true,
	}

	refusedSize = &refusal{
		status: http.StatusRequestEntityTooLarge, result: tooLarge, code: "too_large",
		message: "the body is larger than a delivery may be", closes: true,
	}
	refusedItems = &refusal{
		status: http.StatusRequestEntityTooLarge, result: tooLarge, code: "too_large",
		message: "the delivery has more than 2000 items",
	}
	refusedEncoding = &refusal{
		status: http.StatusUnsupportedMediaType, result: malformed, code: "unsupported_encoding",
		message: "the content encoding is neither gzip nor identity", header: "Accept-Encoding", value: "gzip", closes: true,
	}
	refusedGzip = &refusal{
		status: http.StatusBadRequest, result: malformed, code: "malformed",
		message: "the body is not gzip", closes: true,
	}
	refusedBroken = &refusal{
		status: http.StatusBadRequest, result: malformed, code: "malformed",
		message: "the body ended early", closes: true,
	}
	refusedSlow = &refusal{
		status: http.StatusRequestTimeout, result: malformed, code: "timeout",
		message: "the body did not arrive in time", closes: true,
	}
	refusedJSON = &refusal{
		status: http.StatusBadRequest, result: malformed, code: "malformed",
		message: "the body is not JSON",
	}
	refusedDepth = &refusal{
		status: http.StatusBadRequest, result: malformed, code: "malformed",
		message: "the body is nested too deeply",
	}

	refusedMemory = &refusal{
		status: http.StatusServiceUnavailable, result: unavailable, code: "unavailable",
		message: "too many large deliveries are open; send it again", header: "Retry-After", value: "5", closes: true,
	}
	refusedKafka = &refusal{
		status: http.StatusServiceUnavailable, result: unavailable, code: "unavailable",
		message: "the delivery could not be kept for certain; send it again", header: "Retry-After", value: "5",
	}
	refusedTable = &refusal{
		status: http.StatusServiceUnavailable, result: unavailable, code: "unavailable",
		message: "the delivery could not be checked; send it again", header: "Retry-After", value: "5", closes: true,
	}
	refusedShutdown = &refusal{
		status: http.StatusServiceUnavailable, result: unavailable, code: "shutting_down",
		message: "this instance is shutting down; send the delivery again", header: "Retry-After", value: "1", closes: true,
	}
	refusedPanic = &refusal{
		status: http.StatusInternalServerError, result: unavailable, code: "internal",
		message: "the delivery could not be handled", closes: true,
	}
)

// refusedRate is the answer to a connection that has sent more items than it may,
// and may send again after wait.
func refusedRate(wait time.Duration) *refusal {
	seconds := int64((wait + time.Second - 1) / time.Second)
	return &refusal{
		status: http.StatusTooManyRequests, result: rateLimited, code: "rate_limited",
		message: "too many items on this connection", header: "Retry-After", value: strconv.FormatInt(max(seconds, 1), 10), closes: true,
	}
}

// Error makes a refusal what a reader of the body can fail with.
func (f *refusal) Error() string { return f.message }

func (f *refusal) write(w http.ResponseWriter) {
	h := w.Header()
	if f.header != "" {
		h.Set(f.header, f.value)
	}
	if f.closes {
		h.Set("Connection", "close")
	}
	body := make([]byte, 0, 160)
	body = append(body, `{"error":{"code":"`...)
	body = append(body, f.code...)
	body = append(body, `","message":"`...)
	body = append(body, f.message...) // our words, none of which needs an escape
	body = append(body, `"}}`...)
	// net/http would add it too, but not to an answer that is flushed: one that is
	// then written down would differ from one that is not.
	h.Set("Content-Length", strconv.Itoa(len(body)))
	writeJSON(w, f.status, body)
}

func writeAccepted(w http.ResponseWriter, events, skipped int) {
	body := make([]byte, 0, 48)
	body = append(body, `{"events":`...)
	body = strconv.AppendInt(body, int64(events), 10)
	body = append(body, `,"skipped":`...)
	body = strconv.AppendInt(body, int64(skipped), 10)
	body = append(body, '}')
	writeJSON(w, http.StatusOK, body)
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Content-Type"] = contentType
	w.WriteHeader(status)
	// Whoever does not read the answer sends again, which folds.
	_, _ = w.Write(body)
}

// contentType is shared by all answers, as net/http does with its own.
var contentType = []string{"application/json"}
