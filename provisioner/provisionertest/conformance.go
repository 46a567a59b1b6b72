package provisionertest

import (
	"context"
	"slices"
	"testing"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/provisioner"
)

// patience is how long the real parts may take for what they do in
// milliseconds.
const patience = 20 * time.Second

// TestRecords shows that records do what the provisioner relies on. Claim
// makes a user claim a warm slice, enqueue makes one wait.
func TestRecords(t *testing.T, r provisioner.Records, claim, enqueue func(t *testing.T)) {
	ctx := t.Context()
	old := must1(r.UseGeneration(ctx, "old definition"))(t)
	generation := must1(r.UseGeneration(ctx, "new definition"))(t)
	if again := must1(r.UseGeneration(ctx, "new definition"))(t); again != generation || old == generation {
		t.Fatalf("generations: old %d, new %d, again %d", old, generation, again)
	}

	pool := func(gone ...int) provisioner.Pool { return must1(r.Pool(ctx, generation, gone))(t) }
	find := func(number int) platform.Slice {
		t.Helper()
		for _, s := range pool(number).Slices {
			if s.Number == number {
				return s
			}
		}
		t.Fatalf("no record of slice %d", number)
		return platform.Slice{}
	}
	move := func(number int, from, to platform.SliceState, failure string, want bool) {
		t.Helper()
		if ok := must1(r.Transition(ctx, number, from, to, failure))(t); ok != want {
			t.Fatalf("slice %d from %s to %s: %v, want %v", number, from, to, ok, want)
		}
	}

	first := must1(r.Request(ctx, generation, nil))(t)
	s := find(first)
	if s.State != platform.SliceRequested || s.Generation != generation || s.UserID != "" || s.RequestedAt.IsZero() {
		t.Fatalf("requested: %+v", s)
	}
	// Numbers in use without a record are stepped over, and never come back.
	taken := []int{first + 1, first + 2, first + 3}
	second := must1(r.Request(ctx, generation, taken))(t)
	if second != first+4 {
		t.Fatalf("number after %v: %d", taken, second)
	}

	// A transition happens from the state it names only.
	move(first, platform.SliceProvisioning, platform.SliceWarm, "", false)
	move(first, platform.SliceRequested, platform.SliceProvisioning, "", true)
	move(first, platform.SliceRequested, platform.SliceProvisioning, "", false)
	if a, b := find(first), s; a.StateChangedAt.Before(b.StateChangedAt) || !a.RequestedAt.Equal(b.RequestedAt) {
		t.Errorf("times: before %+v, after %+v", b, a)
	}

	// Failures are counted since a slice last became warm, in one generation.
	move(second, platform.SliceRequested, platform.SliceFailed, "did not pass", true)
	p := pool()
	if p.Failures != 1 || p.LastFailure.IsZero() || p.Now.Sub(p.LastFailure) < 0 {
		t.Fatalf("one failure: %d, at %v", p.Failures, p.LastFailure)
	}
	move(second, platform.SliceFailed, platform.SliceGone, "", true)
	if p := pool(); p.Failures != 1 {
		t.Errorf("failures after removal: %d, want 1", p.Failures)
	}
	if p := must1(r.Pool(ctx, old, nil))(t); p.Failures != 0 {
		t.Errorf("failures of another generation: %d, want 0", p.Failures)
	}
	if f := find(second).Failure; f != "did not pass" {
		t.Errorf("failure kept: %q", f)
	}
	if slices.ContainsFunc(pool(first).Slices, func(s platform.Slice) bool { return s.Number == second }) {
		t.Error("a gone slice is read without being asked for")
	}
	third := must1(r.Request(ctx, generation, nil))(t)
	move(third, platform.SliceRequested, platform.SliceProvisioning, "", true)
	move(third, platform.SliceProvisioning, platform.SliceWarm, "", true)
	if p := pool(); p.Failures != 0 {
		t.Errorf("failures after a success: %d, want 0", p.Failures)
	}

	// What a user claimed cannot be retired by a plan made before.
	claim(t)
	move(third, platform.SliceWarm, platform.SliceRetiring, "", false)
	if s := find(third); s.State != platform.SliceAssigned || s.UserID == "" {
		t.Errorf("claimed: %+v", s)
	}
	move(third, platform.SliceAssigned, platform.SliceHeld, "", true)
	move(third, platform.SliceHeld, platform.SliceAssigned, "", true)

	if q := pool().Queued; q != 0 {
		t.Errorf("queued: %d, want 0", q)
	}
	enqueue(t)
	if q := pool().Queued; q != 1 {
		t.Errorf("queued: %d, want 1", q)
	}
	if !slices.IsSortedFunc(pool().Slices, func(a, b platform.Slice) int { return a.Number - b.Number }) {
		t.Error("slices are not in order of number")
	}
}

// TestDatabases shows that databases do what the provisioner relies on, with
// the numbers from first on. Login reports whether the slice gets in, with a
// migrated schema that is its own.
func TestDatabases(t *testing.T, d provisioner.Databases, first int, login func(t *testing.T, number int, url string) bool) {
	ctx := t.Context()
	listed := func(number int) (database, role bool) {
		t.Helper()
		databases, roles, err := d.List(ctx)
		must(t, err)
		return slices.Contains(databases, number), slices.Contains(roles, number)
	}
	expect := func(number int, wantDatabase, wantRole bool) {
		t.Helper()
		if database, role := listed(number); database != wantDatabase || role != wantRole {
			t.Errorf("slice %d: database %v, role %v; want %v, %v", number, database, role, wantDatabase, wantRole)
		}
	}
	expect(first, false, false)
	if err := d.EnsureDatabase(ctx, first); err == nil {
		t.Error("a database without a role was made")
	}
	must(t, d.EnsureRole(ctx, first, "one"))
	expect(first, false, true)
	for range 2 { // as after a crash
		must(t, d.EnsureDatabase(ctx, first))
	}
	expect(first, true, true)
	if !login(t, first, d.URL(first, "one")) {
		t.Error("the slice does not get in")
	}
	must(t, d.EnsureRole(ctx, first, "two"))
	if login(t, first, d.URL(first, "one")) {
		t.Error("the slice gets in with its old password")
	}
	if !login(t, first, d.URL(first, "two")) {
		t.Error("the slice does not get in with its new password")
	}
	if err := d.DropRole(ctx, first); err == nil {
		t.Error("a role was dropped that owns a database")
	}
	for range 2 {
		must(t, d.DropDatabase(ctx, first))
		expect(first, false, true)
	}
	for range 2 {
		must(t, d.DropRole(ctx, first))
		expect(first, false, false)
	}
}

// TestVariables shows that variables do what the provisioner relies on. Read
// returns what the slice would read.
func TestVariables(t *testing.T, v provisioner.Variables, first int, read func(t *testing.T, number int) (provisioner.Secrets, bool)) {
	ctx := t.Context()
	if _, ok := read(t, first); ok {
		t.Fatalf("slice %d has a variable already", first)
	}
	want := provisioner.Secrets{DatabaseURL: "postgres://one", Token: "t1", SnapshotKey: "k1"}
	must(t, v.Write(ctx, first, want))
	if got, ok := read(t, first); !ok || got != want {
		t.Errorf("written %+v, read %+v", want, got)
	}
	must(t, v.Write(ctx, first, provisioner.Secrets{DatabaseURL: "postgres://two", Token: "t2", SnapshotKey: "k2"}))
	want = provisioner.Secrets{DatabaseURL: "postgres://two", Token: "t2", SnapshotKey: "k1"}
	if got, _ := read(t, first); got != want {
		t.Error("written twice: the snapshot key must stay, the rest be new")
	}
	if !slices.Contains(must1(v.List(ctx))(t), first) {
		t.Errorf("slice %d is not listed", first)
	}
	for range 2 {
		must(t, v.Delete(ctx, first))
		if slices.Contains(must1(v.List(ctx))(t), first) {
			t.Errorf("slice %d is listed after its deletion", first)
		}
	}
	if _, ok := read(t, first); ok {
		t.Error("the variable can be read after its deletion")
	}
}

// TestJobs shows that jobs and their watch do what the provisioner relies on.
// Stop and start are what an operator does.
func TestJobs(t *testing.T, j provisioner.Jobs, w provisioner.Waker, first int, stop, start func(t *testing.T, number int)) {
	ctx := t.Context()
	find := func() (provisioner.Job, bool) {
		t.Helper()
		for _, job := range must1(j.List(ctx))(t) {
			if job.Number == first {
				return job, true
			}
		}
		return provisioner.Job{}, false
	}
	woken := make(chan struct{}, 1)
	watching, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- w.Watch(watching, func() {
			select {
			case woken <- struct{}{}:
			default:
			}
		})
	}()
	// Woken until what is awaited is there: events may repeat, and be late.
	awaken := func(what string, done func() bool) {
		t.Helper()
		deadline := time.After(patience)
		for {
			select {
			case <-woken:
				if done() {
					return
				}
			case <-deadline:
				t.Fatalf("not woken by: %s", what)
			}
		}
	}
	awaken("the beginning", func() bool { return true })

	if _, ok := find(); ok {
		t.Fatalf("slice %d has a job already", first)
	}
	must(t, j.Register(ctx, first, 1))
	awaken("registration", func() bool { _, ok := find(); return ok })
	job, _ := find()
	if job.Stopped || job.ModifyIndex == 0 {
		t.Errorf("registered: %+v", job)
	}
	must(t, j.Register(ctx, first, 2))
	if again, _ := find(); again != job {
		t.Errorf("registered again: %+v, want it left as %+v", again, job)
	}
	stop(t, first)
	awaken("stop", func() bool { job, _ := find(); return job.Stopped })
	start(t, first)
	awaken("start", func() bool { job, _ := find(); return !job.Stopped })
	must(t, j.Purge(ctx, first))
	awaken("purge", func() bool { _, ok := find(); return !ok })
	must(t, j.Purge(ctx, first))

	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("watch ended with %v", err)
		}
	case <-time.After(patience):
		t.Error("the watch goes on after its context is done")
	}
}

// TestCatalog shows that a catalog does what the provisioner relies on. Set
// makes a slice pass or not.
func TestCatalog(t *testing.T, c provisioner.Catalog, first int, set func(t *testing.T, number int, passing bool)) {
	ctx := t.Context()
	numbers := []int{first, first + 1, first + 2}
	expect := func(want ...int) {
		t.Helper()
		got := must1(c.Passing(ctx, numbers))(t)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("passing: %v, want %v", got, want)
		}
	}
	wait := func(number int) chan error {
		done := make(chan error, 1)
		go func() { done <- c.WaitPassing(ctx, number) }()
		return done
	}
	arrive := func(done chan error) {
		t.Helper()
		select {
		case err := <-done:
			must(t, err)
		case <-time.After(patience):
			t.Fatal("a passing slice was not noticed")
		}
	}
	expect()
	unknown, failing := wait(first), wait(first+1)
	set(t, first+1, false)
	expect()
	set(t, first, true)
	arrive(unknown)
	expect(first)
	set(t, first+1, true)
	arrive(failing)
	arrive(wait(first + 1)) // at once
	expect(first, first+1)
	set(t, first, false)
	expect(first + 1)

	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := c.WaitPassing(cancelled, first+2); err == nil {
		t.Error("an unknown slice passes")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must1[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		must(t, err)
		return v
	}
}
