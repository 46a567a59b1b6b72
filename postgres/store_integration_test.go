//go:build integration

package postgres_test

import (
	"testing"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/storetest"
)

func TestGatewayStoreKeepsTheContract(t *testing.T) {
	storetest.Test(t, func(t *testing.T) (storetest.Store, storetest.Levers) {
		b := newGatewayBench(t)
		return b.store, storetest.Levers{
			AddSlice: func(state platform.SliceState) int { return b.addSlice(t, state, "current") },
			AgeMails: func(d time.Duration) {
				b.exec(t, `UPDATE gateway.mails SET sent_at = sent_at - $1::interval, created_at = created_at - $1::interval`, d)
			},
		}
	})
}
