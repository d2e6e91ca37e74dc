package daemon

import (
	"errors"
	"net"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestAProgramIsAskedOnLoopbackWhereverItListens(t *testing.T) {
	for _, listen := range []string{":0", "0.0.0.0:0", "[::]:0", "127.0.0.1:0"} {
		h := &health{}
		why := errors.New("being read for the first time")
		h.started([]Component{{Name: "table", Ready: func() error { return why }}})
		var lc net.ListenConfig
		ln, err := lc.Listen(t.Context(), "tcp", listen)
		if err != nil {
			t.Fatal(err)
		}
		host, _, _ := net.SplitHostPort(listen)
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		addr := net.JoinHostPort(host, port)
		server := &http.Server{Handler: handler(h, prometheus.NewRegistry())}
		go func() { _ = server.Serve(ln) }()
		ready, text, err := Ask(t.Context(), addr)
		if ready || text != "table: being read for the first time" || err != nil {
			t.Errorf("%s, not ready: %v %q %v", listen, ready, text, err)
		}
		why = nil
		ready, text, err = Ask(t.Context(), addr)
		if !ready || text != "ready" || err != nil {
			t.Errorf("%s, ready: %v %q %v", listen, ready, text, err)
		}
		_ = server.Close()
		if ready, _, err := Ask(t.Context(), addr); ready || err == nil {
			t.Errorf("%s, ended: ready %v, %v", listen, ready, err)
		}
	}
	if ready, _, err := Ask(t.Context(), "9101"); ready || err == nil {
		t.Errorf("an address without a port: ready %v, %v", ready, err)
	}
}

func TestAProgramThatDoesNotAnswerIsNotWaitedForLong(t *testing.T) {
	t.Parallel() // it takes the whole wait
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0") // accepts, by the kernel, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if ready, _, err := Ask(t.Context(), ln.Addr().String()); ready || err == nil {
		t.Errorf("ready %v, %v", ready, err)
	}
}
