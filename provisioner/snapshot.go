package provisioner

import (
	"time"

	"ipnoelp.io/platform"
)

// Snapshot is all that Plan decides on: what the records want and what is
// there. The parts are read before the records, so a number that has no record
// in a Snapshot had none when its part was seen.
type Snapshot struct {
	Pool

	Generation  int64         // the current one: what new slices are made from
	WarmTarget  int           // slices to keep warm beside those for the queue; 1 if less
	MaxStarting int           // slices being made at once
	Timeout     time.Duration // from requested, or provisioning, to the next state

	Jobs      map[int]Job
	Variables map[int]bool
	Databases map[int]bool
	Roles     map[int]bool
	Passing   map[int]bool // in Consul; looked up for slices being made only

	// Busy numbers have a step under way, or ended one after the parts were
	// read, or wait before they are tried again: they count as what their
	// record says, and nothing is planned for them.
	Busy map[int]bool
}

// Pool is what the records say, read in one transaction.
type Pool struct {
	Now    time.Time        // the database's clock, which the records' times come from
	Slices []platform.Slice // all that are not gone, and those asked for; by number
	Queued int              // users who wait for a slice
	Target int              // slices to keep warm as an admin set it; 0 when none did

	// Slices of the current generation that failed since one last became warm.
	Failures    int
	LastFailure time.Time
}

// Job is a slice's job in Nomad.
type Job struct {
	Number      int
	Stopped     bool // by an operator; the platform purges and never stops
	ModifyIndex uint64
}

// want is how many slices of the current generation should be warm or coming.
func (s *Snapshot) want() int { return s.warmTarget() + s.Queued }

func (s *Snapshot) warmTarget() int { return max(1, s.WarmTarget) }

// running says that the slice's job is there and nobody stopped it.
func (s *Snapshot) running(number int) bool {
	j, ok := s.Jobs[number]
	return ok && !j.Stopped
}

// parts names what is there of a number.
func (s *Snapshot) parts(number int) []string {
	var parts []string
	if _, ok := s.Jobs[number]; ok {
		parts = append(parts, "job")
	}
	for _, p := range []struct {
		name string
		set  map[int]bool
	}{{"variable", s.Variables}, {"database", s.Databases}, {"role", s.Roles}} {
		if p.set[number] {
			parts = append(parts, p.name)
		}
	}
	return parts
}

// numbers returns every number that has a part.
func (s *Snapshot) numbers() map[int]bool {
	all := make(map[int]bool, len(s.Jobs))
	for n := range s.Jobs {
		all[n] = true
	}
	for _, set := range []map[int]bool{s.Variables, s.Databases, s.Roles} {
		for n := range set {
			all[n] = true
		}
	}
	return all
}
