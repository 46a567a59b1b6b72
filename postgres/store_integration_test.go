//go:build integration

package postgres_test

import (
	"testing"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/storetest"
)

func TestGatewayStoreKeepsTheContract(t *testing.T) {
	storetest.Test(t, func(t *testing.T) (storetest.Store, func(platform.SliceState) int) {
		b := newGatewayBench(t)
		return b.store, func(state platform.SliceState) int { return b.addSlice(t, state, "current") }
	})
}
