package connect

import (
	_ "embed"
	"encoding/json"
	"net/http"
)

// openAPI describes the API to programs. A test holds it to the routes and to
// what they answer.
//
//go:embed openapi.json
var openAPI []byte

func (c *Connect) getOpenAPI(*request) (int, any, error) {
	return http.StatusOK, json.RawMessage(openAPI), nil
}
