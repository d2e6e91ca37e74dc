package daemon

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// askWait is how long a program may take to say whether it is ready. It answers
// from memory; one that needs longer is not well.
const askWait = 3 * time.Second

// Ask asks the program that serves metrics and health on addr, an ADMIN_ADDR,
// whether it is ready. The text is what it says of itself; the error says that
// it could not be asked.
//
// It is for containers without a shell, where nothing but the program itself is
// there to ask. An addr without a host, or with the unspecified one, is asked
// on loopback: there such a listener can always be reached.
func Ask(ctx context.Context, addr string) (ready bool, text string, err error) {
	target, err := reachable(addr)
	if err != nil {
		return false, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+target+"/readyz", nil)
	if err != nil {
		return false, "", fmt.Errorf("ADMIN_ADDR: %w", err)
	}
	// A transport of its own: a proxy of the environment is for others.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return false, "", err
	}
	defer resp.Body.Close()
	// A line for each component. What is longer was not written by us.
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<10))
	return resp.StatusCode == http.StatusOK, strings.TrimSpace(string(body)), err
}

func reachable(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("ADMIN_ADDR: %w", err)
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}
