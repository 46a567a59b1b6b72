package provisioner

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/tracing"
)

// secretBytes gives 256 bits of entropy to passwords and snapshot keys.
const secretBytes = 32

// make brings a slice from wherever it is to a registered job: new ones, ones
// that were left half-made, and ones with a user whose job was purged. A job
// that exists has everything it needs, so registering it comes last.
func (p *Provisioner) make(ctx context.Context, sl platform.Slice) error {
	n, o := sl.Number, &p.opts
	if sl.State == platform.SliceRequested {
		ok, err := o.Records.Transition(ctx, n, sl.State, platform.SliceProvisioning, "")
		if err != nil || !ok {
			return err // not ok: another leader went on with it
		}
		o.FaultPoint(AfterProvisioning)
	}
	// A new password each time: the one of an attempt that was cut off is in
	// nobody's hands, and nothing uses it yet.
	var raw [secretBytes]byte
	rand.Read(raw[:]) // never fails
	password := base64.RawURLEncoding.EncodeToString(raw[:])
	rand.Read(raw[:])
	secrets := Secrets{
		DatabaseURL: o.Databases.URL(n, password),
		Token:       platform.SliceToken(o.PlatformKey, n, sl.Generation),
		SnapshotKey: base64.StdEncoding.EncodeToString(raw[:]),
	}
	return p.steps(ctx,
		step{"create-role", AfterCreateRole, func(ctx context.Context) error { return o.Databases.EnsureRole(ctx, n, password) }},
		step{"create-database", AfterCreateDatabase, func(ctx context.Context) error { return o.Databases.EnsureDatabase(ctx, n) }},
		step{"write-variable", AfterWriteVariable, func(ctx context.Context) error { return o.Variables.Write(ctx, n, secrets) }},
		step{"register-job", AfterRegisterJob, func(ctx context.Context) error { return o.Jobs.Register(ctx, n, sl.Generation) }},
	)
}

// remove takes away what a failed, retiring or gone slice still has, in the
// order in which each part uses the next. No slice returns from these states,
// so there is nothing to check again.
func (p *Provisioner) remove(ctx context.Context, sl platform.Slice) error {
	n, o := sl.Number, &p.opts
	err := p.steps(ctx,
		step{"purge-job", AfterPurgeJob, func(ctx context.Context) error { return o.Jobs.Purge(ctx, n) }},
		step{"delete-variable", AfterDeleteVariable, func(ctx context.Context) error { return o.Variables.Delete(ctx, n) }},
		step{"drop-database", AfterDropDatabase, func(ctx context.Context) error { return o.Databases.DropDatabase(ctx, n) }},
		step{"drop-role", AfterDropRole, func(ctx context.Context) error { return o.Databases.DropRole(ctx, n) }},
	)
	if err != nil || sl.State == platform.SliceGone {
		return err
	}
	if _, err = o.Records.Transition(ctx, n, sl.State, platform.SliceGone, ""); err == nil {
		p.log.Info("slice removed", "slice", n, "was", sl.State)
	}
	return err
}

type step struct {
	name  string // as in the metrics
	after Step
	do    func(context.Context) error
}

func (p *Provisioner) steps(ctx context.Context, steps ...step) error {
	for _, s := range steps {
		failures := p.metrics.stepFailures.WithLabelValues(s.name) // zero before the first
		start := time.Now()
		ctx, span := tracing.Start(ctx, p.opts.Tracer, s.name)
		err := s.do(ctx)
		tracing.End(span, err)
		if err != nil {
			failures.Inc()
			return err
		}
		p.metrics.stepSeconds.WithLabelValues(s.name).Observe(time.Since(start).Seconds())
		p.opts.FaultPoint(s.after)
	}
	return nil
}
