package provisioner_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ipnoelp.io/platform"
	. "ipnoelp.io/platform/provisioner"
	"ipnoelp.io/platform/provisioner/provisionertest"
)

// startTime is what a slice of the bench takes from registered to passing.
const startTime = 900 * time.Millisecond

// bench is a whole platform in memory. Its tests run in a bubble of package
// synctest, where time passes only when nothing else can happen.
type bench struct {
	records   *provisionertest.Records
	databases *provisionertest.Databases
	variables *provisionertest.Variables
	jobs      *provisionertest.Jobs
	catalog   *provisionertest.Catalog
	opts      Options

	mu     sync.Mutex // guards broken
	broken bool       // slices never pass
}

func newBench(t *testing.T) *bench {
	b := &bench{
		records:   provisionertest.NewRecords(1),
		databases: provisionertest.NewDatabases(),
		variables: provisionertest.NewVariables(),
		catalog:   provisionertest.NewCatalog(),
	}
	b.jobs = provisionertest.NewJobs(
		func(number int) {
			time.AfterFunc(startTime, func() {
				b.mu.Lock()
				defer b.mu.Unlock()
				if !b.broken && b.runs(number) {
					b.catalog.Set(number, true)
				}
			})
		},
		func(number int) { b.catalog.Set(number, false) })
	b.opts = Options{
		Records: b.records, Databases: b.databases, Variables: b.variables, Jobs: b.jobs, Catalog: b.catalog,
		Wakers:      []Waker{b.records, b.jobs},
		PlatformKey: []byte("0123456789abcdef0123456789abcdef"),
		Fingerprint: "one", WarmTarget: 1, Timeout: timeout,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	return b
}

func (b *bench) runs(number int) bool {
	jobs, _ := b.jobs.List(context.Background()) // never fails here
	return slices.ContainsFunc(jobs, func(j Job) bool { return j.Number == number && !j.Stopped })
}

func (b *bench) breakSlices(broken bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = broken
}

// start runs a provisioner until stop is called or the test ends.
func (b *bench) start(t *testing.T) (p *Provisioner, stop func()) {
	t.Helper()
	p = New(b.opts)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return p, stop
}

// after lets time pass, and everything come to rest.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// expect compares the numbers in each state; states not named are empty.
func (b *bench) expect(t *testing.T, want map[platform.SliceState][]int) {
	t.Helper()
	for _, state := range platform.SliceStates() {
		if state == platform.SliceGone {
			continue
		}
		if got := b.records.In(state); !slices.Equal(got, want[state]) {
			t.Errorf("%s: %v, want %v", state, got, want[state])
		}
	}
}

type states = map[platform.SliceState][]int

// parts returns what is there of a number.
func (b *bench) parts(number int) string {
	ctx := context.Background()
	databases, roles, _ := b.databases.List(ctx)
	_, variable := b.variables.Secrets(number)
	jobs, _ := b.jobs.List(ctx)
	job := slices.ContainsFunc(jobs, func(j Job) bool { return j.Number == number })
	return fmt.Sprintf("job %v variable %v database %v role %v", job, variable, slices.Contains(databases, number), slices.Contains(roles, number))
}

const (
	complete = "job true variable true database true role true"
	nothing  = "job false variable false database false role false"
)

func bubble(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newBench(t)) })
}

// freeze makes every call fail, as after the death of the process.
func (b *bench) freeze(frozen bool) {
	var fault func(string, int) error
	if frozen {
		fault = func(string, int) error { return errors.New("the process is dead") }
	}
	b.records.FailOn(fault)
	b.databases.FailOn(fault)
	b.variables.FailOn(fault)
	b.jobs.FailOn(fault)
	b.catalog.FailOn(fault)
}
