package gateway

import (
	"testing"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/storetest"
)

func TestMemoryStoreKeepsTheContract(t *testing.T) {
	storetest.Test(t, func(*testing.T) (storetest.Store, func(platform.SliceState) int) {
		s := newMemoryStore()
		return s, s.addSlice
	})
}
