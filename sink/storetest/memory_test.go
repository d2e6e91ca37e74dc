package storetest_test

import (
	"testing"

	"github.com/worksights/halo-connector/sink"
	"github.com/worksights/halo-connector/sink/storetest"
)

func TestTheStoreInMemoryIsAStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) (sink.Store, storetest.Reader) {
		m := new(storetest.Memory)
		return m, m
	})
}
