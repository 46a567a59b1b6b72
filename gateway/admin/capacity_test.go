package admin

import (
	"testing"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/cluster"
)

func TestCapacity(t *testing.T) {
	const mib = 1 << 20
	node := func(id string) cluster.Node {
		return cluster.Node{ID: id, Status: "ready", Eligible: true, CPU: 4000, Memory: 8000 * mib, Available: 5000 * mib}
	}
	down := node("down")
	down.Status = "down"
	instance := func(memory uint64) cluster.Instance {
		return cluster.Instance{NodeID: "a", Status: "running", Reserved: cluster.Reserved{CPU: 50, Memory: 100}, Usage: &cluster.Usage{Memory: memory * mib, CPU: 10}}
	}
	running := []cluster.Instance{instance(200), instance(400), instance(200), instance(200)}
	set := platform.Settings{NodeCost: 4000, Price: 1500, Currency: "EUR"}

	got := newCapacity([]cluster.Node{node("a"), node("b"), down}, running, running, set, 3)
	if got.Nodes != 2 || got.Running != 4 || got.Measured != 4 || *got.MemoryMedian != 200*mib || *got.MemoryP95 != 400*mib || *got.CPUMedian != 10 {
		t.Errorf("%+v", got)
	}
	// a: 5000 free and 1000 in use by slices; b: 5000 free.
	if *got.Maximum != 30+25 || *got.Comfortable != 12+10 {
		t.Errorf("maximum %d, comfortable %d", *got.Maximum, *got.Comfortable)
	}
	if got.MonthlyCost != 8000 || *got.CostPerSlice != 364 || *got.CostPerUser != 2667 || *got.BreakEvenUsers != 6 {
		t.Errorf("cost %d, %d a slice, %d a user, break-even %d", got.MonthlyCost, *got.CostPerSlice, *got.CostPerUser, *got.BreakEvenUsers)
	}

	for i := range running {
		running[i].Reserved.Memory = 2000 // four fit on a machine, whatever they use
	}
	if got := newCapacity([]cluster.Node{node("a")}, running, running, set, 0); *got.Maximum != 4 || *got.Comfortable != 4 || got.CostPerUser != nil {
		t.Errorf("by reservation: %+v", got)
	}
	if got := newCapacity([]cluster.Node{node("a")}, nil, nil, platform.Settings{}, 0); got.Maximum != nil || got.MemoryMedian != nil || got.BreakEvenUsers != nil || got.Nodes != 1 {
		t.Errorf("nothing measured: %+v", got)
	}
}
