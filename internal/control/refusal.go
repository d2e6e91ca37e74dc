package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Refusal is what the control API answers instead of 2xx, in its own words.
//
// Whatever serves a route may return one as its error; the API answers it as it
// is. 4xx is for the caller, 502 and 504 for Halo, 503 for us.
type Refusal struct {
	Status  int    `json:"-"`
	Code    string `json:"code" doc:"For programs" example:"invalid"`
	Message string `json:"message" doc:"For people; says what to do" example:"limit: want 1 to 1000."`
	// Ends is how many mappings a change of the users would end; 0 where that is
	// not the matter.
	Ends int `json:"ends,omitempty" minimum:"1" doc:"With would_end_mappings: how many mappings would end. Say this number as ?ends= to do it"`
	// RetryAfter is when to try again; 0 where trying again does not help.
	RetryAfter time.Duration `json:"-"`
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s (%s)", r.Message, r.Code) }

// Refuse makes a refusal.
func Refuse(status int, code, format string, args ...any) *Refusal {
	return &Refusal{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// ErrorBody is the body of every answer that is no 2xx.
type ErrorBody struct {
	Error Refusal `json:"error"`
}

// refusalOf reads one. What does not speak as the API does, such as a proxy on
// the way, is told by its status.
func refusalOf(resp *http.Response, body []byte) *Refusal {
	var said ErrorBody
	if json.Unmarshal(body, &said) != nil || said.Error.Code == "" {
		said.Error = Refusal{Code: "http_" + strconv.Itoa(resp.StatusCode), Message: http.StatusText(resp.StatusCode)}
	}
	said.Error.Status = resp.StatusCode
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
		said.Error.RetryAfter = time.Duration(n) * time.Second
	}
	return &said.Error
}
