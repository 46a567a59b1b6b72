package admin

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/cluster"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

const (
	comfortableShare = 0.8 // of a machine's memory; the rest is for bursts and for a machine that fails
	maxMeasured      = 300 // instances that are measured for the capacity, drawn at random from more
)

type nodeItem struct {
	ID                string  `json:"id"`
	Name              string  `json:"name"`
	Datacenter        string  `json:"datacenter"`
	Status            string  `json:"status"`
	Eligible          bool    `json:"eligible"`
	Draining          bool    `json:"draining"`
	CPUMHz            int     `json:"cpu_mhz"`
	MemoryBytes       uint64  `json:"memory_bytes"`
	AvailableBytes    *uint64 `json:"available_bytes"` // null when unknown
	Slices            int     `json:"slices"`          // that run there
	ReservedMemoryMiB int     `json:"reserved_memory_mib"`
	ReservedCPUMHz    int     `json:"reserved_cpu_mhz"`
}

func (s *Service) nodes(c *gin.Context) {
	nodes, instances, err := s.readCluster(c.Request.Context())
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	items := make([]nodeItem, len(nodes))
	for i, n := range nodes {
		items[i] = nodeItem{ID: n.ID, Name: n.Name, Datacenter: n.Datacenter, Status: n.Status, Eligible: n.Eligible, Draining: n.Draining,
			CPUMHz: n.CPU, MemoryBytes: n.Memory}
		if n.Available > 0 {
			items[i].AvailableBytes = &n.Available
		}
		for _, in := range instances {
			if in.NodeID == n.ID && in.Status == cluster.Running {
				items[i].Slices++
				items[i].ReservedMemoryMiB += in.Reserved.Memory
				items[i].ReservedCPUMHz += in.Reserved.CPU
			}
		}
	}
	problem.WriteJSON(c.Writer, http.StatusOK, struct {
		Nodes []nodeItem `json:"nodes"`
	}{items})
}

func (s *Service) readCluster(ctx context.Context) ([]cluster.Node, map[int]cluster.Instance, error) {
	if s.Cluster == nil {
		return nil, nil, errNoCluster
	}
	nodes, err := s.Cluster.Nodes(ctx)
	if err != nil {
		return nil, nil, err
	}
	instances, err := s.Cluster.Instances(ctx)
	return nodes, instances, err
}

func (s *Service) capacity(c *gin.Context) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), 2*lookTimeout)
	defer cancel()
	set, err := s.Store.Settings(ctx)
	var counts map[platform.SliceState]int
	if err == nil {
		_, counts, err = s.Store.Pool(ctx)
	}
	var nodes []cluster.Node
	var all map[int]cluster.Instance
	if err == nil {
		nodes, all, err = s.readCluster(ctx)
	}
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	var running []cluster.Instance
	for _, i := range all {
		if i.Status == cluster.Running {
			running = append(running, i)
		}
	}
	sample := slices.Clone(running)
	rand.Shuffle(len(sample), func(i, j int) { sample[i], sample[j] = sample[j], sample[i] })
	sample = s.Cluster.Look(ctx, sample[:min(len(sample), maxMeasured)])
	problem.WriteJSON(c.Writer, http.StatusOK, newCapacity(nodes, running, sample, set, counts[platform.SliceAssigned]))
}

type capacity struct {
	Nodes          int      `json:"nodes"` // ready for slices
	MemoryBytes    uint64   `json:"memory_bytes"`
	Running        int      `json:"running"`
	Measured       int      `json:"measured"`
	MemoryMedian   *uint64  `json:"memory_median_bytes"` // of a slice; null unless measured
	MemoryP95      *uint64  `json:"memory_p95_bytes"`
	CPUMedian      *float64 `json:"cpu_median_mhz"`
	Comfortable    *int     `json:"comfortable_slices"` // on what there is
	Maximum        *int     `json:"maximum_slices"`
	Currency       string   `json:"currency"`
	MonthlyCost    int64    `json:"monthly_cost"`      // of the nodes, in hundredths; 0 when not set
	CostPerSlice   *int64   `json:"cost_per_slice"`    // at the comfortable number
	CostPerUser    *int64   `json:"cost_per_user_now"` // at the users who have a slice now
	BreakEvenUsers *int     `json:"break_even_users"`  // paying; null without cost and price
}

// newCapacity says how many slices the machines that are ready can carry, by
// what slices were measured to use and by what the scheduler reserves for each.
// Maximum fills the memory with slices of median size; comfortable leaves a
// share of it free, and counts each slice as a large one.
func newCapacity(nodes []cluster.Node, running, sample []cluster.Instance, set platform.Settings, users int) capacity {
	out := capacity{Running: len(running), Currency: set.Currency}
	var memory []uint64
	var cpu []float64
	used := make(map[string]uint64) // bytes of the slices by node; those not measured count as the median
	unmeasured := make(map[string]int)
	var reserved cluster.Reserved
	for _, i := range running {
		unmeasured[i.NodeID]++
		reserved.CPU, reserved.Memory = max(reserved.CPU, i.Reserved.CPU), max(reserved.Memory, i.Reserved.Memory)
	}
	for _, i := range sample {
		if i.Usage != nil && i.Usage.Memory > 0 {
			memory, cpu = append(memory, i.Usage.Memory), append(cpu, i.Usage.CPU)
			used[i.NodeID] += i.Usage.Memory
			unmeasured[i.NodeID]--
		}
	}
	slices.Sort(memory)
	slices.Sort(cpu)
	out.Measured = len(memory)
	var median, p95 uint64
	if len(memory) > 0 {
		median, p95 = percentile(memory, 0.5), percentile(memory, 0.95)
		middle := percentile(cpu, 0.5)
		out.MemoryMedian, out.MemoryP95, out.CPUMedian = &median, &p95, &middle
	}
	comfortable, maximum := 0, 0
	for _, n := range nodes {
		if !n.Ready() {
			continue
		}
		out.Nodes++
		out.MemoryBytes += n.Memory
		if median == 0 {
			continue
		}
		// What else runs there is not for slices.
		usable := n.Memory
		if n.Available > 0 {
			usable = n.Available + used[n.ID] + uint64(unmeasured[n.ID])*median
		}
		fit := math.MaxInt
		if reserved.Memory > 0 {
			fit = int(n.Memory>>20) / reserved.Memory
		}
		if reserved.CPU > 0 {
			fit = min(fit, n.CPU/reserved.CPU)
		}
		maximum += min(fit, int(usable/median))
		comfortable += min(fit, int(comfortableShare*float64(usable)/float64(p95)))
	}
	if median > 0 {
		out.Comfortable, out.Maximum = &comfortable, &maximum
	}
	out.cost(set, users)
	return out
}

func (c *capacity) cost(set platform.Settings, users int) {
	c.MonthlyCost = set.NodeCost * int64(c.Nodes)
	if c.MonthlyCost == 0 {
		return
	}
	each := func(n int) *int64 {
		v := divideUp(c.MonthlyCost, int64(n))
		return &v
	}
	if c.Comfortable != nil && *c.Comfortable > 0 {
		c.CostPerSlice = each(*c.Comfortable)
	}
	if users > 0 {
		c.CostPerUser = each(users)
	}
	if set.Price > 0 {
		n := int(divideUp(c.MonthlyCost, set.Price))
		c.BreakEvenUsers = &n
	}
}

func divideUp(a, b int64) int64 { return (a + b - 1) / b }

// percentile returns the value that a share of the sorted values does not
// exceed.
func percentile[T any](sorted []T, share float64) T {
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}
