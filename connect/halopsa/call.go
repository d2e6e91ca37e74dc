package halopsa

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
)

// do makes one authorised request and returns the body of a good answer.
//
// Halo bakes the permissions into the token when it issues it, so a 401 or a
// 403 may only mean that the token is older than the permission (seen on live
// tenants). It is dropped and the request sent once more with a new one; the
// second answer counts.
func (c *Client) do(ctx context.Context, k call, method, target string, in any) ([]byte, error) {
	var payload []byte
	if in != nil {
		var err error
		if payload, err = json.Marshal(in); err != nil {
			return nil, describe(HaloError, c.base.Host, 0, "The request cannot be written.", nil)
		}
	}
	token, err := c.bearer(ctx, keep)
	if err != nil {
		return nil, err
	}
	a, err := c.authorised(ctx, token, method, target, payload)
	if err == nil && (a.status == http.StatusUnauthorized || a.status == http.StatusForbidden) {
		if token, err = c.bearer(ctx, forget(token)); err != nil {
			return nil, err
		}
		a, err = c.authorised(ctx, token, method, target, payload)
	}
	if err == nil {
		err = c.judge(k, a)
	}
	if err := c.noted(k.name, a.status, err); err != nil {
		return nil, err
	}
	return a.body, nil
}

func (c *Client) authorised(ctx context.Context, token, method, target string, payload []byte) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(payload))
	if err != nil {
		return answer{}, describe(HaloError, c.base.Host, 0, "The request cannot be made.", nil)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	if payload != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return c.send(req)
}

// post sends one record in an array, as Halo wants it (seen on live tenants),
// and returns the first record of the answer, which is an array or an object;
// nil where the answer is empty.
func (c *Client) post(ctx context.Context, k call, resource, member string, record any) (json.RawMessage, error) {
	body, err := c.do(ctx, k, http.MethodPost, c.endpoint(nil, resource), []any{record})
	if err != nil {
		return nil, err
	}
	rows, _, ok := readRows(body, member)
	if !ok {
		return nil, c.unreadable(k)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return rows[0], nil
}

func (c *Client) unreadable(k call) error {
	return c.noted(k.name, 0, describe(HaloError, c.base.Host, http.StatusOK, c.base.Host+" answered with data that cannot be read.", nil))
}
