package provisioner_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ipnoelp.io/platform"
	. "ipnoelp.io/platform/provisioner"
)

func TestKeepsOneWarm(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.start(t)
		after(startTime)
		b.expect(t, states{warm: {1}})
		if got := b.parts(1); got != complete {
			t.Error(got)
		}
		s, _ := b.variables.Secrets(1)
		if s.Token != platform.SliceToken(b.opts.PlatformKey, 1, b.records.Slice(1).Generation) {
			t.Error("the gateway would derive another token")
		}
		if !b.databases.Login(1, s.DatabaseURL) {
			t.Error("the slice does not get into its database")
		}
		// The next one begins when this one is claimed, not with a timer.
		if n := b.records.Claim("ana"); n != 1 {
			t.Fatalf("claimed %d", n)
		}
		after(startTime + 100*time.Millisecond)
		b.expect(t, states{assigned: {1}, warm: {2}})
	})
}

func TestGoesByAnAdminsTarget(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.start(t)
		after(startTime)
		b.records.SetTarget(3)
		after(startTime + time.Second)
		b.expect(t, states{warm: {1, 2, 3}})
		b.records.SetTarget(0) // as configured: none is taken down
		after(time.Minute)
		b.expect(t, states{warm: {1, 2, 3}})
		b.records.Claim("ana")
		after(startTime + time.Minute)
		b.expect(t, states{assigned: {1}, warm: {2, 3}})
	})
}

func TestServesTheQueue(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.opts.Concurrency, b.opts.MaxStarting = 3, 5
		for i := range 20 {
			b.records.Claim(fmt.Sprint("user-", i))
		}
		b.start(t)
		most := 0
		for range 100 {
			after(100 * time.Millisecond)
			b.records.ServeQueue()
			most = max(most, len(b.records.In(provisioning))+len(b.records.In(requested)))
		}
		var numbers []int
		for n := range 20 {
			numbers = append(numbers, n+1)
		}
		b.expect(t, states{assigned: numbers, warm: {21}})
		if most > 5 {
			t.Errorf("%d were starting at once, want at most 5", most)
		}
	})
}

func TestReplacesWhatDoesNotPass(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.breakSlices(true)
		b.start(t)
		after(timeout - time.Second)
		b.expect(t, states{provisioning: {1}})
		after(2 * time.Second)
		b.expect(t, states{})
		if got := b.parts(1); got != nothing {
			t.Error(got)
		}
		if s := b.records.Slice(1); s.State != gone || s.Failure == "" {
			t.Errorf("%+v", s)
		}
		after(5 * time.Second) // the first back-off
		b.expect(t, states{provisioning: {2}})
		// An hour of it makes few attempts, and leaves nothing.
		after(time.Hour)
		if n := len(b.records.In(gone)); n < 8 || n > 20 {
			t.Errorf("%d attempts in an hour", n)
		}
		b.breakSlices(false)
		after(10 * time.Minute)
		if n := len(b.records.In(warm)); n != 1 {
			t.Errorf("%d warm after the repair, want 1", n)
		}
		b.records.Claim("ana") // no back-off after a success
		after(2 * startTime)
		if n := len(b.records.In(warm)); n != 1 {
			t.Errorf("%d warm, want 1", n)
		}
	})
}

func TestOperators(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.start(t)
		after(time.Second)
		b.records.Claim("ana")
		after(time.Second)
		b.expect(t, states{assigned: {1}, warm: {2}})
		before, _ := b.variables.Secrets(1)

		b.jobs.Stop(1)
		after(time.Second)
		b.expect(t, states{held: {1}, warm: {2}})
		after(time.Hour)
		b.expect(t, states{held: {1}, warm: {2}})
		b.jobs.Start(1)
		after(time.Second)
		b.expect(t, states{assigned: {1}, warm: {2}})

		if err := b.jobs.Purge(context.Background(), 1); err != nil {
			t.Fatal(err)
		}
		after(2 * time.Second)
		b.expect(t, states{assigned: {1}, warm: {2}})
		if got := b.parts(1); got != complete {
			t.Error(got)
		}
		again, _ := b.variables.Secrets(1)
		if again.SnapshotKey != before.SnapshotKey || again.Token != before.Token {
			t.Error("the snapshots or the gateway's token are of no use any more")
		}
		if again.DatabaseURL == before.DatabaseURL || !b.databases.Login(1, again.DatabaseURL) {
			t.Error("want a new password that works")
		}

		if err := b.jobs.Purge(context.Background(), 2); err != nil {
			t.Fatal(err)
		}
		after(2 * time.Second)
		b.expect(t, states{assigned: {1}, warm: {3}})
		if got := b.parts(2); got != nothing {
			t.Error(got)
		}

		b.jobs.Stop(3)
		after(2 * time.Second)
		b.expect(t, states{assigned: {1}, held: {3}, warm: {4}})
	})
}

func TestNewGenerationReplacesWarm(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		_, stop := b.start(t)
		after(time.Second)
		b.records.Claim("ana")
		after(time.Second)
		stop()
		b.opts.Fingerprint = "two"
		b.start(t)
		after(startTime / 2)
		b.expect(t, states{assigned: {1}, warm: {2}, provisioning: {3}})
		after(startTime)
		b.expect(t, states{assigned: {1}, warm: {3}})
		if got := b.parts(2); got != nothing {
			t.Error(got)
		}
	})
}

// An older backup of the records knows nothing of slices that were made since.
func TestUnknownPartsAreLeftAlone(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		_, stop := b.start(t)
		after(time.Second)
		b.records.Claim("ana")
		after(time.Second)
		stop()
		before, _ := b.variables.Secrets(1)
		b.records.Forget(2)
		b.records.Forget(1)
		b.start(t)
		after(time.Hour)
		b.expect(t, states{warm: {3}})
		for _, n := range []int{1, 2} {
			if got := b.parts(n); got != complete {
				t.Errorf("slice %d: %s", n, got)
			}
		}
		if s, _ := b.variables.Secrets(1); s != before {
			t.Error("the unknown slice got other secrets")
		}
	})
}

// Whatever fails, and however often, the pool is full again afterwards and
// nothing is left over.
func TestSurvivesFailures(t *testing.T) {
	for _, part := range []string{"records", "databases", "variables", "jobs", "catalog"} {
		t.Run(part, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				faults := map[string]interface {
					FailOn(func(string, int) error)
				}{
					"records": b.records, "databases": b.databases, "variables": b.variables, "jobs": b.jobs, "catalog": b.catalog,
				}[part]
				p, _ := b.start(t)
				after(time.Second)
				faults.FailOn(func(call string, number int) error { return errors.New(call + " is broken") })
				b.records.Claim("ana")
				after(20 * time.Second)
				if p.Ready() == nil && part != "catalog" { // looked at only while something starts
					t.Error("ready, while it cannot work")
				}
				var calls atomic.Int64
				faults.FailOn(func(call string, number int) error {
					if calls.Add(1)%3 == 0 {
						return errors.New(call + " fails sometimes")
					}
					return nil
				})
				after(5 * time.Minute)
				faults.FailOn(nil)
				after(10 * time.Minute)
				if err := p.Ready(); err != nil {
					t.Error(err)
				}
				if n := len(b.records.In(warm)); n != 1 {
					t.Errorf("%d warm, want 1", n)
				}
				if b.records.Slice(1).State != assigned || b.parts(1) != complete {
					t.Errorf("the user's slice: %+v %s", b.records.Slice(1), b.parts(1))
				}
				for _, n := range b.records.In(gone) {
					if got := b.parts(n); got != nothing {
						t.Errorf("slice %d: %s", n, got)
					}
				}
			})
		})
	}
}

// The end of a term between any two steps is finished or cleaned up by the
// next one.
func TestEveryStepMayBeTheLast(t *testing.T) {
	for _, last := range append(MakeSteps(), RemoveSteps()...) {
		t.Run(string(last), func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				reached := make(chan struct{})
				var once sync.Once
				ended := make(chan struct{}) // nothing of the first term goes on before
				b.opts.FaultPoint = func(s Step) {
					if s == last {
						once.Do(func() { close(reached) })
						<-ended
					}
				}
				p := New(b.opts)
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan struct{})
				go func() {
					defer close(done)
					p.Run(ctx)
				}()
				if slices.Contains(RemoveSteps(), last) {
					after(time.Second)
					b.jobs.Purge(ctx, 1)
				}
				<-reached
				b.freeze(true) // what goes on after the step has no effect
				cancel()
				close(ended)
				<-done
				b.freeze(false)

				b.opts.FaultPoint = nil
				b.start(t)
				after(10 * time.Second)
				if n := len(b.records.In(warm)); n != 1 {
					t.Fatalf("%d warm, want 1", n)
				}
				for n := 1; b.records.Slice(n).Number != 0; n++ {
					want := nothing
					if b.records.Slice(n).State == warm {
						want = complete
					}
					if got := b.parts(n); got != want {
						t.Errorf("slice %d is %s: %s", n, b.records.Slice(n).State, got)
					}
				}
			})
		})
	}
}

// A user who claims between the plan and its application keeps the slice.
func TestClaimWinsOverRetirement(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		_, stop := b.start(t)
		after(time.Second)
		b.expect(t, states{warm: {1}})
		stop()
		b.jobs.Purge(context.Background(), 1)
		b.records.FailOn(func(call string, number int) error {
			if call == "transition" && number == 1 {
				b.records.FailOn(nil)
				b.records.Claim("ana")
			}
			return nil
		})
		b.start(t)
		after(5 * time.Second)
		b.expect(t, states{assigned: {1}, warm: {2}})
		if got := b.parts(1); got != complete {
			t.Error(got)
		}
	})
}

func TestRunTwiceIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		p, stop := b.start(t)
		after(time.Second)
		if err := p.Run(context.Background()); err == nil {
			t.Error("ran twice at once")
		}
		stop()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := p.Run(ctx); err != nil { // a second term is fine
			t.Error(err)
		}
	})
}

func TestMetrics(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		reg := prometheus.NewRegistry()
		b.opts.Registerer = reg
		_, stop := b.start(t)
		after(time.Second)
		b.records.Claim("ana")
		after(2 * time.Second)
		value := func(name, label string) float64 {
			families, err := reg.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				for _, m := range f.GetMetric() {
					if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
						if h := m.GetHistogram(); h != nil {
							return float64(h.GetSampleCount())
						}
						return m.GetGauge().GetValue() + m.GetCounter().GetValue()
					}
				}
			}
			return -1
		}
		for _, c := range []struct {
			name, label string
			want        float64
		}{
			{"provisioner_leader", "", 1}, {"provisioner_slices", "warm", 1}, {"provisioner_slices", "assigned", 1},
			{"provisioner_slices", "held", 0}, {"provisioner_warm_target", "", 1},
			{"provisioner_provision_seconds", "", 2}, {"provisioner_step_seconds", "register-job", 2},
		} {
			if got := value(c.name, c.label); got != c.want {
				t.Errorf("%s %s: %v, want %v", c.name, c.label, got, c.want)
			}
		}
		stop()
		if got := value("provisioner_leader", ""); got != 0 {
			t.Errorf("leader after the end: %v", got)
		}
		if got := value("provisioner_slices", "warm"); got != -1 {
			t.Errorf("slices after the end: %v, want none", got)
		}
	})
}
