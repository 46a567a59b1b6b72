// Package cluster describes what admins see of the machines and of what runs on
// them: types only, for the adapter that reads them and the routes that tell.
package cluster

import "time"

// Instance is one run of a slice's container on a machine.
type Instance struct {
	Slice     int
	ID        string // Nomad's allocation
	Version   uint64 // of the job
	Node      string // name of the machine
	NodeID    string
	Status    string    // pending, running, complete, failed or lost
	Restarts  int       // of the container on this machine
	StartedAt time.Time // zero before the first start
	Reserved  Reserved
	Image     string  // "" unless looked at
	Usage     *Usage  // nil unless looked at and running
	Events    []Event // newest first; only of a single instance that was asked for
}

// Running is the Status of an instance that is there and works, or should.
const Running = "running"

// Reserved is what the scheduler keeps free for an instance.
type Reserved struct {
	CPU       int // MHz
	Memory    int // MiB
	MemoryMax int // MiB it may use where the machine has them
}

// Usage is what an instance was measured to use.
type Usage struct {
	Memory uint64  // bytes, what it caches of files included
	CPU    float64 // MHz
	At     time.Time
}

// Event is something that happened to an instance.
type Event struct {
	At      time.Time
	Type    string // such as "Started"
	Message string
}

// Node is a machine.
type Node struct {
	ID         string
	Name       string
	Datacenter string
	Status     string // ready, down, initializing or disconnected
	Eligible   bool   // for new instances
	Draining   bool
	CPU        int    // MHz that instances may reserve
	Memory     uint64 // bytes that instances may reserve
	Available  uint64 // bytes that are free now or could be freed; 0 when unknown
}

// Ready says that new instances may be placed on the machine.
func (n Node) Ready() bool { return n.Status == "ready" && n.Eligible && !n.Draining }
