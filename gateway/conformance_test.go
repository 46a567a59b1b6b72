package gateway

import (
	"testing"

	"ipnoelp.io/platform/gateway/storetest"
)

func TestMemoryStoreKeepsTheContract(t *testing.T) {
	storetest.Test(t, func(*testing.T) (storetest.Store, storetest.Levers) {
		s := newMemoryStore()
		return s, storetest.Levers{AddSlice: s.addSlice, AgeMails: s.ageMails}
	})
}
