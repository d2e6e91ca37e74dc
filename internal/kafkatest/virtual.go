//go:build synctests

package kafkatest

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// NewVirtual starts a cluster of one node on a network in memory. Call it
// inside synctest.Test: a goroutine that reads a real socket is never at rest
// for the bubble, one that reads this network is, and the clock moves on as
// soon as all are. Close every client before the bubble's function returns, by
// hand or by t.Cleanup.
func NewVirtual(t testing.TB, opts ...kfake.Opt) *Cluster {
	t.Helper()
	var network kfake.VirtualNetwork
	return start(t,
		[]kgo.Opt{kgo.Dialer(network.DialContext)},
		append([]kfake.Opt{kfake.ListenFn(network.Listen), kfake.Ports(9092)}, opts...),
	)
}
