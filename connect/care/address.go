package care

import (
	"net/url"
	"strings"
)

// How the address that Halo keeps for the webhook compares with the one that was
// registered.
const (
	exact     = iota
	alike     // another way to write it, which the edge takes for ours
	elsewhere // another address
)

// compare compares what matters. Scheme and host are the same in any case, and a
// default port is none. Of the path, the edge knows ours with a slash at its end,
// with letters written as codes, and with the id in capitals: so the deliveries
// arrive, but what somebody else makes of the address on the way is not known,
// and it is put right. Any other path is met by nobody.
func compare(kept, ours string) int {
	a, err := url.Parse(strings.TrimSpace(kept))
	b, err2 := url.Parse(ours)
	if err != nil || err2 != nil || !strings.EqualFold(a.Scheme, b.Scheme) || hostOf(a) != hostOf(b) ||
		a.RawQuery != "" || a.ForceQuery || a.Fragment != "" || a.User != nil {
		return elsewhere
	}
	if kept == ours || a.EscapedPath() == b.EscapedPath() {
		return exact
	}
	head, id := cut(strings.TrimRight(a.Path, "/"))
	ourHead, ourID := cut(b.Path)
	if head == ourHead && strings.EqualFold(id, ourID) {
		return alike
	}
	return elsewhere
}

// hostOf is the host in small letters with its port.
func hostOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")) + ":" + port
}

// cut cuts a path before its last part.
func cut(path string) (head, last string) {
	i := strings.LastIndexByte(path, '/')
	return path[:i+1], path[i+1:]
}
