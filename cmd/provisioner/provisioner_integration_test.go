//go:build integration

package main_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/provisioner"
)

const (
	warm     = platform.SliceWarm
	assigned = platform.SliceAssigned
	held     = platform.SliceHeld
)

type states = map[platform.SliceState][]int

func TestSliceLife(t *testing.T) {
	b := setup(t)
	p := b.start(t)
	one, two, three := b.first, b.first+1, b.first+2
	b.await(t, patience, states{warm: {one}})
	if code, body := p.get(t, "/readyz"); code != http.StatusOK {
		t.Errorf("readyz: %d %s", code, body)
	}

	// Refilled as soon as one is claimed.
	if n := b.claim(t); n != one {
		t.Fatalf("claimed %d", n)
	}
	b.await(t, patience, states{assigned: {one}, warm: {two}})
	conn := b.login(t, one)
	if _, err := conn.Exec(t.Context(), `INSERT INTO chats (id) VALUES ('kept')`); err != nil {
		t.Fatal(err)
	}

	// An operator stops it, starts it, and purges it.
	jobs, name := b.nomad.Jobs(), platform.SliceName(one)
	job, _, err := jobs.Info(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := jobs.Deregister(name, false, nil); err != nil {
		t.Fatal(err)
	}
	b.await(t, patience, states{held: {one}, warm: {two}})
	if _, _, err := jobs.Register(job, nil); err != nil {
		t.Fatal(err)
	}
	b.await(t, patience, states{assigned: {one}, warm: {two}})
	for _, n := range []int{one, two} {
		if _, _, err := jobs.Deregister(platform.SliceName(n), true, nil); err != nil {
			t.Fatal(err)
		}
	}
	b.await(t, patience, states{assigned: {one}, warm: {three}})
	var kept bool
	if err := b.login(t, one).QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM chats WHERE id = 'kept')`).Scan(&kept); err != nil || !kept {
		t.Errorf("the user's data: %v (%v)", kept, err)
	}

	// The states are counted by the round after the one that changed them.
	eventually(t, patience, func() (bool, string) {
		_, metrics := p.get(t, "/metrics")
		for _, want := range []string{"provisioner_leader 1\n", `provisioner_slices{state="assigned"} 1` + "\n", `provisioner_slices{state="warm"} 1` + "\n",
			"provisioner_provision_seconds_count 3\n", `provisioner_step_seconds_count{step="create-database"} 4` + "\n",
			`provisioner_database_connections{state="idle"} `, "provisioner_database_connections_limit "} {
			if !strings.Contains(metrics, want) {
				return false, "metrics lack " + want
			}
		}
		return true, ""
	})
	if code, body := p.get(t, "/other"); code != http.StatusNotFound || !strings.Contains(body, "/problems/not_found") {
		t.Errorf("other path: %d %s", code, body)
	}
	start := time.Now()
	p.stop(t)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
}

// The program dies between any two steps; the next one leaves one slice warm
// and nothing of those that did not get so far.
func TestKilledBetweenAnyTwoSteps(t *testing.T) {
	b := setup(t)
	b.start(t).waitWarm(t, b)
	for _, step := range append(provisioner.MakeSteps(), provisioner.RemoveSteps()...) {
		t.Run(string(step), func(t *testing.T) {
			before := b.in(t)
			doomed := b.start(t, "FAULT_POINT="+string(step))
			if _, _, err := b.nomad.Jobs().Deregister(platform.SliceName(before[warm][0]), true, nil); err != nil {
				t.Fatal(err) // a warm slice is replaced: removed, and another one made
			}
			if err := doomed.wait(t); !doomed.killed(err) {
				t.Fatalf("ended with %v, want killed at %s", err, step)
			}
			next := b.start(t)
			next.waitWarm(t, b)
			if now := b.in(t)[warm]; now[0] == before[warm][0] {
				t.Errorf("slice %d is warm again after its removal", now[0])
			}
		})
	}
}

// waitWarm waits until one slice is warm and nothing else is there, and stops
// the program.
func (p *process) waitWarm(t *testing.T, b *bench) {
	t.Helper()
	eventually(t, patience, func() (bool, string) {
		s := b.in(t)
		return len(s) == 1 && len(s[warm]) == 1, "one warm slice and no other"
	})
	b.await(t, patience, b.in(t))
	p.stop(t)
}

func TestBrokenSlicesAreRemovedAndReplaced(t *testing.T) {
	b := setup(t)
	p := b.start(t, "SLICE_IMAGE="+images(t).broken, "PROVISION_TIMEOUT=4s")
	failures := func() (n int) {
		if err := b.db.QueryRow(t.Context(), `SELECT count(*) FROM gateway.slices WHERE failure <> '' AND state = 'gone'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	eventually(t, patience, func() (bool, string) { return failures() == 1, "the first one fails and is removed" })
	b.await(t, patience, states{}) // nothing is left, while the next one waits
	eventually(t, patience, func() (bool, string) { return failures() == 2, "the next one is tried" })
	p.stop(t)

	// A new image is a new generation: it does not wait.
	p = b.start(t)
	eventually(t, patience, func() (bool, string) {
		return len(b.in(t)[warm]) == 1, "the repaired image gets warm"
	})
	p.stop(t)
}

func TestOneOfTwoActs(t *testing.T) {
	b := setup(t)
	first := b.start(t, "INSTANCE_ID=first")
	b.await(t, patience, states{warm: {b.first}})
	second := b.start(t, "INSTANCE_ID=second")
	leads := func(p *process) bool {
		_, metrics := p.get(t, "/metrics")
		return strings.Contains(metrics, "provisioner_leader 1\n")
	}
	if code, _ := second.get(t, "/readyz"); code != http.StatusOK {
		t.Errorf("readyz on standby: %d", code)
	}
	if !leads(first) || leads(second) {
		t.Fatalf("first leads %v, second leads %v", leads(first), leads(second))
	}
	// The leader is cut off: the other one acts once it must be dead.
	first.kill(t)
	b.claim(t)
	b.await(t, patience, states{assigned: {b.first}, warm: {b.first + 1}})
	if !leads(second) {
		t.Error("the second does not lead")
	}
	// The leader leaves: the other one acts at once.
	third := b.start(t, "INSTANCE_ID=third")
	third.get(t, "/healthz")
	second.stop(t)
	eventually(t, 5*time.Second, func() (bool, string) { return leads(third), "the third takes over" })
}
