package nomad

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/nomad/api"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/provisioner"
)

// Jobs registers, lists and purges the slices' jobs. It is safe for concurrent
// use.
type Jobs struct {
	client *api.Client
	slice  SliceJob
}

var _ provisioner.Jobs = (*Jobs)(nil)

// NewJobs returns the jobs of all slices, registering new ones by slice.
func NewJobs(client *api.Client, slice SliceJob) *Jobs {
	return &Jobs{client: client, slice: slice}
}

// Register makes the job of a slice; one that is there is left as it is.
func (j *Jobs) Register(ctx context.Context, number int, generation int64) error {
	name := platform.SliceName(number)
	values, err := j.slice.variables(number, generation)
	if err != nil {
		return fmt.Errorf("register %s: %w", name, err)
	}
	// What Jobs().ParseHCLOpts does, but ended by the context.
	var job api.Job
	req := &api.JobsParseRequest{JobHCL: j.slice.Source, Variables: values, Canonicalize: true}
	if _, err := j.client.Raw().Write("/v1/jobs/parse", req, &job, write(ctx)); err != nil {
		return fmt.Errorf("register %s: parse the job file: %w", name, err)
	}
	if job.ID == nil || *job.ID != name || job.Namespace == nil || *job.Namespace != platform.SliceNamespace {
		return fmt.Errorf("register %s: the job file defines another job", name)
	}
	_, _, err = j.client.Jobs().RegisterOpts(&job, &api.RegisterOptions{
		EnforceIndex: true, ModifyIndex: 0, // only if there is none
		Submission: &api.JobSubmission{Source: j.slice.Source, Format: "hcl2", Variables: values}, // for the UI
	}, write(ctx))
	if err != nil && !strings.Contains(err.Error(), api.RegisterEnforceIndexErrPrefix) {
		return fmt.Errorf("register %s: %w", name, err)
	}
	return nil
}

// Purge stops the job of a slice and removes it.
func (j *Jobs) Purge(ctx context.Context, number int) error {
	name := platform.SliceName(number)
	_, _, err := j.client.Jobs().DeregisterOpts(name, &api.DeregisterOptions{Purge: true}, write(ctx))
	if err != nil && !isNotFound(err) {
		return fmt.Errorf("purge %s: %w", name, err)
	}
	return nil
}

// List returns every slice's job.
func (j *Jobs) List(ctx context.Context) ([]provisioner.Job, error) {
	q := read(ctx)
	q.Prefix = "slice-"
	stubs, _, err := j.client.Jobs().List(q)
	if err != nil {
		return nil, fmt.Errorf("list slice jobs: %w", err)
	}
	list := make([]provisioner.Job, 0, len(stubs))
	for _, s := range stubs {
		if n, ok := platform.ParseSliceName(s.ID); ok {
			list = append(list, provisioner.Job{Number: n, Stopped: s.Stop, ModifyIndex: s.JobModifyIndex})
		}
	}
	return list, nil
}
