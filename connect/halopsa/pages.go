package halopsa

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strconv"
)

// maxPages ends a list that never does: 20,000 agents.
const maxPages = 400

// A list is one of Halo's lists: how it is first asked for, and where its rows
// stand.
type list struct {
	call
	resource, member string
	query            url.Values                                 // of the first page
	key              func(json.RawMessage) (id string, ok bool) // what tells two rows apart
}

// list reads all of a list.
//
// Nobody says how long a server's pages are: it may cut at 50, at 25, at 1,000,
// whatever was asked, or know no pages at all, and a bare array does not say how
// many rows there are. So a list is read on until record_count is met, a page is
// shorter than one before it, or one is empty or brings nothing new. A server
// that first gave 1,000 rows and then pages of 50 starts those anew: what they
// bring is known, and the page behind what is known is asked for next.
//
// Where record_count is not met at the end, the rows come with an error of cause
// [ListIncomplete].
func (c *Client) list(ctx context.Context, l list) ([]json.RawMessage, error) {
	var all []json.RawMessage
	seen := make(map[string]bool)
	query, longest := l.query, 0
	for page, asked := 1, 0; asked < maxPages; asked++ {
		body, err := c.do(ctx, l.call, http.MethodGet, c.endpoint(query, l.resource), nil)
		if err != nil {
			return nil, err
		}
		rows, total, ok := readRows(body, l.member)
		if !ok {
			return nil, c.unreadable(l.call)
		}
		before := len(all)
		for _, row := range rows {
			// A row without an id cannot be known again, and is of no use.
			if id, ok := l.key(row); ok && !seen[id] {
				seen[id] = true
				all = append(all, row)
			}
		}
		news := len(all) > before
		switch {
		case total > 0 && len(all) >= total:
			return all, nil
		case len(rows) == 0, total == 0 && news && len(rows) < longest:
			return all, c.short(l.call, len(all), total)
		case news:
			page, longest = page+1, max(longest, len(rows))
		case len(all)/len(rows)+1 > page:
			page, longest = len(all)/len(rows)+1, len(rows)
		default:
			return all, c.short(l.call, len(all), total)
		}
		query = maps.Clone(l.query)
		if query == nil {
			query = make(url.Values)
		}
		query.Set("pageinate", "true") // the vendor's spelling
		query.Set("page_no", strconv.Itoa(page))
		if !query.Has("page_size") {
			query.Set("page_size", strconv.Itoa(max(longest, len(rows))))
		}
	}
	return nil, describe(HaloError, c.base.Host, http.StatusOK, c.base.Host+" gives a list without an end.", nil)
}

// short is the error of a list of which total rows were promised.
func (c *Client) short(k call, read, total int) error {
	if read >= total {
		return nil
	}
	return c.noted(k.name, 0, describe(ListIncomplete, c.base.Host, http.StatusOK,
		c.base.Host+" says that it has "+strconv.Itoa(total)+" "+k.name+" and lists "+strconv.Itoa(read)+".", nil))
}

// rowID is the key of rows that have an id.
func rowID(row json.RawMessage) (string, bool) {
	var r struct {
		ID text `json:"id"`
	}
	if json.Unmarshal(row, &r) != nil {
		return "", false
	}
	return string(r.ID), r.ID != ""
}
