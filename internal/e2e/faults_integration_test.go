//go:build integration

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/consul"
	"ipnoelp.io/platform/provisioner"
)

// The provisioner is killed while a slice starts, and while one is half removed.
// Its next run finishes or cleans up: nothing is left that no row stands for,
// and the pool is full. cmd/provisioner tests every step, with a slice that
// starts faster than the real one.
func TestProvisionerKilledHalfWay(t *testing.T) {
	b := setup(t)
	b.waitWarm(t, 1)
	if _, _, err := b.Nomad().Jobs().Deregister("provisioner", false, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.restartJob(t, "provisioner") })
	// Out of Consul they may still act.
	eventually(t, 60*time.Second, func() error {
		allocs, _, err := b.Nomad().Jobs().Allocations("provisioner", false, nil)
		if err != nil {
			return err
		}
		for _, a := range allocs {
			if a.ClientStatus == nomad.AllocClientStatusRunning || a.ClientStatus == nomad.AllocClientStatusPending {
				return fmt.Errorf("provisioner %s still runs", a.ID)
			}
		}
		return nil
	})
	b.waitWarm(t, 1)
	for _, step := range []provisioner.Step{provisioner.AfterRegisterJob, provisioner.AfterDropDatabase} {
		t.Run(string(step), func(t *testing.T) {
			// Both a slice to make and one to remove, so that every step is come to.
			if _, err := b.db.Exec(t.Context(), `UPDATE gateway.slices SET state = 'retiring', state_changed_at = now()
				WHERE number = (SELECT max(number) FROM gateway.slices WHERE state = 'warm')`); err != nil {
				t.Fatal(err)
			}
			err := b.runProvisioner(t, t.Context(), "FAULT_POINT="+string(step))
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the provisioner was to die at %s: %v", step, err)
			}
			b.endLeaderSession(t)
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- b.runProvisioner(t, ctx) }()
			eventually(t, 90*time.Second, func() error { return b.settled(t) })
			stop()
			if err := <-done; err != nil {
				t.Errorf("the provisioner's orderly stop: %v", err)
			}
		})
	}
}

// endLeaderSession does at once what Consul does by itself 10 to 20 seconds after
// the leader died.
func (b *bundle) endLeaderSession(t testing.TB) {
	t.Helper()
	lock, _, err := b.Consul().KV().Get(consul.LeaderKey, nil)
	if err != nil || lock == nil || lock.Session == "" {
		t.Fatalf("nobody held the leader lock: %v, %v", lock, err)
	}
	if _, err := b.Consul().Session().Destroy(lock.Session, nil); err != nil {
		t.Fatal(err)
	}
}

// runProvisioner runs the program until it ends or the context does.
func (b *bundle) runProvisioner(t testing.TB, ctx context.Context, environ ...string) error {
	program, base, err := b.Provisioner()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(base, environ...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	err = cmd.Run()
	if t.Failed() || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Logf("provisioner %v:\n%s", environ, log.String())
	}
	if ctx.Err() != nil && cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 0 {
		return nil
	}
	return err
}

// settled returns nil when one slice is warm, none is on its way in or out,
// and what exists is what the rows say.
func (b *bundle) settled(t testing.TB) error {
	rows, err := b.db.Query(t.Context(), `SELECT number, state FROM gateway.slices WHERE state <> 'gone'`)
	if err != nil {
		return err
	}
	live := map[int]string{}
	var number int
	var state string
	warm := 0
	if _, err := pgx.ForEachRow(rows, []any{&number, &state}, func() error { live[number] = state; return nil }); err != nil {
		return err
	}
	want := []int{}
	for n, s := range live {
		switch s {
		case "warm":
			warm++
		case "assigned", "held", "suspended":
		default:
			return fmt.Errorf("slice %d is %s", n, s)
		}
		want = append(want, n)
	}
	if warm != 1 {
		return fmt.Errorf("%d slices warm, want 1", warm)
	}
	slices.Sort(want)
	for what, have := range b.inventory(t) {
		if !slices.Equal(have, want) {
			return fmt.Errorf("%s of slices %v, rows of %v", what, have, want)
		}
	}
	return nil
}

// inventory is what exists of slices outside the gateway schema, by number.
func (b *bundle) inventory(t testing.TB) map[string][]int {
	t.Helper()
	have := map[string][]int{}
	add := func(what string, n int, ok bool) {
		if ok {
			have[what] = append(have[what], n)
		}
	}
	in := &nomad.QueryOptions{Namespace: platform.SliceNamespace}
	jobs, _, err := b.Nomad().Jobs().List(in)
	if err != nil {
		t.Fatal(err)
	}
	have["jobs"] = []int{}
	for _, j := range jobs {
		n, ok := platform.ParseSliceName(j.ID)
		add("jobs", n, ok)
	}
	variables, _, err := b.Nomad().Variables().PrefixList("nomad/jobs/slice-", in)
	if err != nil {
		t.Fatal(err)
	}
	have["variables"] = []int{}
	for _, v := range variables {
		n, ok := platform.ParseSliceName(strings.TrimPrefix(v.Path, "nomad/jobs/"))
		add("variables", n, ok)
	}
	for what, query := range map[string]string{
		"databases": `SELECT datname::text FROM pg_database`,
		"roles":     `SELECT rolname::text FROM pg_roles`,
	} {
		rows, err := b.db.Query(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		have[what] = []int{}
		for _, name := range names {
			n, ok := platform.ParseSliceDatabase(name)
			add(what, n, ok)
		}
	}
	for _, numbers := range have {
		slices.Sort(numbers)
	}
	return have
}

// restartJob starts a stopped job again as it was.
func (b *bundle) restartJob(t testing.TB, name string) {
	job, _, err := b.Nomad().Jobs().Info(name, nil)
	if err != nil {
		t.Errorf("job %s: %v", name, err)
		return
	}
	stop := false
	job.Stop = &stop
	if _, _, err := b.Nomad().Jobs().Register(job, nil); err != nil {
		t.Errorf("job %s: %v", name, err)
	}
}
