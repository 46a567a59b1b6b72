package nomad

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/nomad/api"
	"golang.org/x/sync/errgroup"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/cluster"
)

const (
	clusterFresh = 5 * time.Second // how long what was read is told again: several admins cost no more than one
	lookAtOnce   = 8               // requests side by side to the machines
	lookedMax    = 10_000          // images and measurements remembered
	sliceTask    = "slice"         // as in jobs/slice.nomad.hcl
	maxEvents    = 20              // of an instance, newest first
)

// Cluster reads what admins see of the slices' instances and of the machines,
// with the policy of the gateway. It is safe for concurrent use.
type Cluster struct {
	client *api.Client
	log    *slog.Logger

	instances cached[map[int]cluster.Instance]
	nodes     cached[[]cluster.Node]

	mu     sync.Mutex
	images map[string]string        // guarded by mu; by instance and version
	usages map[string]cluster.Usage // guarded by mu; by instance
}

// NewCluster returns a view through client.
func NewCluster(client *api.Client, log *slog.Logger) *Cluster {
	return &Cluster{client: client, log: log, images: make(map[string]string), usages: make(map[string]cluster.Usage)}
}

// unreachable is what clients are told of an error of Nomad's.
func unreachable(err error) error {
	return platform.Errorf(platform.ErrUnavailable, "Nomad cannot be asked right now. Try again in a moment.").WithCause(err)
}

// Instances returns the newest instance of each slice that has one, by number.
func (c *Cluster) Instances(ctx context.Context) (map[int]cluster.Instance, error) {
	return c.instances.get(func() (map[int]cluster.Instance, error) {
		q := read(ctx)
		q.Params = map[string]string{"resources": "true"}
		stubs, _, err := c.client.Allocations().List(q)
		if err != nil {
			return nil, fmt.Errorf("list instances: %w", unreachable(err))
		}
		newest := make(map[int]*api.AllocationListStub, len(stubs))
		for _, s := range stubs {
			n, ok := platform.ParseSliceName(s.JobID)
			if have := newest[n]; ok && (have == nil || have.CreateIndex < s.CreateIndex) {
				newest[n] = s
			}
		}
		all := make(map[int]cluster.Instance, len(newest))
		for n, s := range newest {
			all[n] = instanceOf(n, s)
		}
		return all, nil
	})
}

func instanceOf(number int, s *api.AllocationListStub) cluster.Instance {
	i := cluster.Instance{Slice: number, ID: s.ID, Version: s.JobVersion, Node: s.NodeName, NodeID: s.NodeID, Status: s.ClientStatus}
	if r := s.AllocatedResources; r != nil {
		for _, t := range r.Tasks {
			i.Reserved.CPU += int(t.Cpu.CpuShares)
			i.Reserved.Memory += int(t.Memory.MemoryMB)
			i.Reserved.MemoryMax += int(t.Memory.MemoryMaxMB)
		}
	}
	if t := s.TaskStates[sliceTask]; t != nil {
		i.Restarts, i.StartedAt = int(t.Restarts), t.StartedAt.UTC()
	}
	return i
}

// Look adds image and usage to instances, as far as the machines tell.
func (c *Cluster) Look(ctx context.Context, instances []cluster.Instance) []cluster.Instance {
	instances = slices.Clone(instances)
	var g errgroup.Group
	g.SetLimit(lookAtOnce)
	for n := range instances {
		g.Go(func() error {
			i := &instances[n]
			if err := c.look(ctx, i); err != nil && ctx.Err() == nil {
				c.log.Warn("an instance was not looked at", "slice", i.Slice, "instance", i.ID, "error", err)
			}
			return nil
		})
	}
	_ = g.Wait() // of nothing but nil
	return instances
}

func (c *Cluster) look(ctx context.Context, i *cluster.Instance) error {
	version := i.ID + "/" + strconv.FormatUint(i.Version, 10)
	c.mu.Lock()
	image, known := c.images[version]
	usage, measured := c.usages[i.ID]
	c.mu.Unlock()
	if !known {
		alloc, _, err := c.client.Allocations().Info(i.ID, read(ctx))
		if err != nil {
			return err
		}
		image = imageOf(alloc)
		c.mu.Lock()
		if len(c.images) >= lookedMax {
			clear(c.images)
		}
		c.images[version] = image
		c.mu.Unlock()
	}
	i.Image = image
	if i.Status != api.AllocClientStatusRunning {
		return nil
	}
	if !measured || time.Since(usage.At) > clusterFresh {
		var err error
		if usage, err = c.measure(ctx, i.ID); err != nil {
			return err
		}
	}
	i.Usage = &usage
	return nil
}

// imageOf returns nothing else of the job: what it says is for Nomad.
func imageOf(alloc *api.Allocation) string {
	if alloc.Job == nil {
		return ""
	}
	for _, g := range alloc.Job.TaskGroups {
		for _, t := range g.Tasks {
			if t.Name == sliceTask {
				image, _ := t.Config["image"].(string)
				return image
			}
		}
	}
	return ""
}

func (c *Cluster) measure(ctx context.Context, id string) (cluster.Usage, error) {
	stats, err := c.client.Allocations().Stats(&api.Allocation{ID: id}, read(ctx))
	if err != nil {
		return cluster.Usage{}, err
	}
	u := cluster.Usage{At: time.Now()}
	if r := stats.ResourceUsage; r != nil && r.MemoryStats != nil && r.CpuStats != nil {
		// Docker on cgroups v2 measures no RSS.
		u.Memory, u.CPU = max(r.MemoryStats.Usage, r.MemoryStats.RSS), r.CpuStats.TotalTicks
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.usages) >= lookedMax {
		clear(c.usages)
	}
	c.usages[id] = u
	return u, nil
}

// Instance returns the newest instance of a slice, looked at, with its events.
// Returns ErrNotFound if it has none.
func (c *Cluster) Instance(ctx context.Context, number int) (cluster.Instance, error) {
	all, err := c.Instances(ctx)
	if err != nil {
		return cluster.Instance{}, err
	}
	i, ok := all[number]
	if !ok {
		return i, platform.Errorf(platform.ErrNotFound, "Nothing runs of this slice.")
	}
	i = c.Look(ctx, []cluster.Instance{i})[0]
	alloc, _, err := c.client.Allocations().Info(i.ID, read(ctx))
	if err != nil {
		return i, fmt.Errorf("instance %s: %w", i.ID, unreachable(err))
	}
	i.Status = alloc.ClientStatus
	if t := alloc.TaskStates[sliceTask]; t != nil {
		for _, e := range slices.Backward(t.Events) {
			if len(i.Events) == maxEvents {
				break
			}
			i.Events = append(i.Events, cluster.Event{At: time.Unix(0, e.Time).UTC(), Type: e.Type, Message: e.DisplayMessage})
		}
	}
	return i, nil
}

// Log returns the last bytes that an instance printed to stream, stdout or
// stderr. Returns ErrNotFound if there is no log of it any more.
func (c *Cluster) Log(ctx context.Context, id, stream string, last int64) ([]byte, error) {
	q := read(ctx)
	q.Params = map[string]string{
		"task": sliceTask, "type": stream, "plain": "true", "origin": "end", "offset": strconv.FormatInt(last, 10),
	}
	body, err := c.client.Raw().Response("/v1/client/fs/logs/"+url.PathEscape(id), q)
	if isNotFound(err) {
		return nil, platform.Errorf(platform.ErrNotFound, "There is no log of this slice.")
	}
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", id, unreachable(err))
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, last))
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", id, unreachable(err))
	}
	return b, nil
}

// Restart ends an instance's container and starts it again on the same machine.
func (c *Cluster) Restart(ctx context.Context, id string) error {
	if err := c.client.Allocations().Restart(&api.Allocation{ID: id}, sliceTask, read(ctx)); err != nil {
		return fmt.Errorf("restart %s: %w", id, unreachable(err))
	}
	return nil
}

// Nodes returns every machine, by name.
func (c *Cluster) Nodes(ctx context.Context) ([]cluster.Node, error) {
	return c.nodes.get(func() ([]cluster.Node, error) {
		q := read(ctx)
		q.Params = map[string]string{"resources": "true"}
		stubs, _, err := c.client.Nodes().List(q)
		if err != nil {
			return nil, fmt.Errorf("list nodes: %w", unreachable(err))
		}
		nodes := make([]cluster.Node, len(stubs))
		var g errgroup.Group
		g.SetLimit(lookAtOnce)
		for n, s := range stubs {
			nodes[n] = nodeOf(s)
			if s.Status != api.NodeStatusReady {
				continue
			}
			g.Go(func() error {
				stats, err := c.client.Nodes().Stats(s.ID, read(ctx))
				if err != nil {
					c.log.Warn("a machine was not measured", "node", s.Name, "error", err)
				} else if stats.Memory != nil {
					nodes[n].Available = stats.Memory.Available
				}
				return nil
			})
		}
		_ = g.Wait()
		slices.SortFunc(nodes, func(a, b cluster.Node) int { return compareNames(a, b) })
		return nodes, nil
	})
}

func nodeOf(s *api.NodeListStub) cluster.Node {
	n := cluster.Node{
		ID: s.ID, Name: s.Name, Datacenter: s.Datacenter, Status: s.Status,
		Eligible: s.SchedulingEligibility == api.NodeSchedulingEligible, Draining: s.Drain,
	}
	if r := s.NodeResources; r != nil {
		n.CPU, n.Memory = int(r.Cpu.CpuShares), uint64(max(r.Memory.MemoryMB, 0))<<20
	}
	if r := s.ReservedResources; r != nil {
		n.CPU -= int(r.Cpu.CpuShares)
		n.Memory -= min(n.Memory, r.Memory.MemoryMB<<20)
	}
	return n
}
