package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
)

// jobStartTimeout bounds the wait for a job's instances to pass their checks.
const jobStartTimeout = 2 * time.Minute

// runJob submits a job file with its variables, as `nomad job run -var` does,
// and waits until every instance of that version passes its check in Consul.
func (s *Stack) runJob(ctx context.Context, name string, variables map[string]any) (string, error) {
	source, err := os.ReadFile(filepath.Join(s.cfg.SourceDir, "jobs", name+".nomad.hcl"))
	if err != nil {
		return "", err
	}
	values, err := hclVariables(variables)
	if err != nil {
		return "", fmt.Errorf("job %s: %w", name, err)
	}
	job, err := s.nomad.Jobs().ParseHCLOpts(&nomad.JobsParseRequest{JobHCL: string(source), Variables: values, Canonicalize: true})
	if err != nil {
		return "", fmt.Errorf("job %s: parse: %w", name, err)
	}
	before := jobVersion(s.nomad, name)
	_, _, err = s.nomad.Jobs().RegisterOpts(job, &nomad.RegisterOptions{
		Submission: &nomad.JobSubmission{Source: string(source), Format: "hcl2", Variables: values},
	}, nil)
	if err != nil {
		return "", fmt.Errorf("job %s: register: %w", name, err)
	}
	waiting, cancel := context.WithTimeout(ctx, jobStartTimeout)
	defer cancel()
	if err := poll(waiting, 200*time.Millisecond, func() error { return s.jobHealthy(name) }); err != nil {
		logFile := s.cfg.path("log", "job-"+name+".log")
		s.saveJobLog(name, logFile)
		return "", advise(err, logFile, fmt.Sprintf("look at the job in the Nomad UI: %s/ui/jobs/%s@default", s.cfg.nomadAddr(), name))
	}
	switch after := jobVersion(s.nomad, name); {
	case before < 0:
		return "started", nil
	case after == before:
		return "unchanged", nil
	default:
		return fmt.Sprintf("updated to version %d", after), nil
	}
}

// hclVariables writes values the way a variable file holds them. JSON's
// literals are HCL's, but for the template markers.
func hclVariables(variables map[string]any) (string, error) {
	var b strings.Builder
	names := make([]string, 0, len(variables))
	for name := range variables {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		v, err := json.Marshal(variables[name])
		if err != nil {
			return "", err
		}
		text := strings.NewReplacer("${", "$${", "%{", "%%{").Replace(string(v))
		fmt.Fprintf(&b, "%s = %s\n", name, text)
	}
	return b.String(), nil
}

// jobVersion returns the version of a running job, or -1.
func jobVersion(client *nomad.Client, name string) int {
	job, _, err := client.Jobs().Info(name, nil)
	if err != nil || job.Version == nil || job.Stop != nil && *job.Stop {
		return -1
	}
	return int(*job.Version)
}

// jobHealthy returns nil when every instance of the job's current version
// passes in Consul.
func (s *Stack) jobHealthy(name string) error {
	job, _, err := s.nomad.Jobs().Info(name, nil)
	if err != nil {
		return fmt.Errorf("job %s: %w", name, err)
	}
	want := 0
	for _, g := range job.TaskGroups {
		want += *g.Count
	}
	allocs, _, err := s.nomad.Jobs().Allocations(name, false, nil)
	if err != nil {
		return fmt.Errorf("job %s: %w", name, err)
	}
	passing, _, err := s.consul.Health().Service(name, "", true, nil)
	if err != nil {
		return fmt.Errorf("job %s: %w", name, err)
	}
	healthy := 0
	for _, a := range allocs {
		if a.JobVersion == *job.Version && a.ClientStatus == nomad.AllocClientStatusRunning && registered(passing, a.ID) {
			healthy++
		}
	}
	if healthy < want {
		return fmt.Errorf("job %s: %d of %d instances healthy", name, healthy, want)
	}
	if d, _, err := s.nomad.Jobs().LatestDeployment(name, nil); err == nil && d != nil && d.JobVersion == *job.Version && d.Status == nomad.DeploymentStatusFailed {
		return fmt.Errorf("job %s: %s", name, d.StatusDescription)
	}
	return nil
}

func registered(passing []*consul.ServiceEntry, allocID string) bool {
	for _, e := range passing {
		if strings.Contains(e.Service.ID, allocID) {
			return true
		}
	}
	return false
}

// saveJobLog writes down what Nomad knows of a job's newest instance: its last
// events and the end of what it printed.
func (s *Stack) saveJobLog(name, file string) {
	var b strings.Builder
	defer func() {
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			os.Remove(file) // rather none than an old one
		}
	}()
	allocs, _, err := s.nomad.Jobs().Allocations(name, false, nil)
	if err != nil || len(allocs) == 0 {
		fmt.Fprintf(&b, "no instance was placed (%v)\n", err)
		if evals, _, err := s.nomad.Jobs().Evaluations(name, nil); err == nil && len(evals) > 0 {
			for group, m := range evals[0].FailedTGAllocs {
				fmt.Fprintf(&b, "group %s: %d nodes evaluated, filtered: %v, exhausted: %v\n", group, m.NodesEvaluated, m.ConstraintFiltered, m.DimensionExhausted)
			}
		}
		return
	}
	sort.Slice(allocs, func(i, j int) bool { return allocs[i].CreateIndex > allocs[j].CreateIndex })
	alloc, _, err := s.nomad.Allocations().Info(allocs[0].ID, nil)
	if err != nil {
		fmt.Fprintf(&b, "allocation %s: %v\n", allocs[0].ID, err)
		return
	}
	for task, state := range alloc.TaskStates {
		for _, e := range state.Events {
			fmt.Fprintf(&b, "%s %s: %s\n", task, e.Type, e.DisplayMessage)
		}
		for _, stream := range []string{"stdout", "stderr"} {
			text, err := s.taskLog(alloc, task, stream)
			fmt.Fprintf(&b, "--- %s %s\n%s\n", task, stream, text)
			if err != nil {
				fmt.Fprintf(&b, "(%v)\n", err)
			}
		}
	}
}

func (s *Stack) taskLog(alloc *nomad.Allocation, task, stream string) (string, error) {
	const most = 4 << 10 // bytes from the end
	cancel := make(chan struct{})
	defer close(cancel)
	frames, errs := s.nomad.AllocFS().Logs(alloc, false, task, stream, nomad.OriginEnd, most, cancel, nil)
	var b strings.Builder
	deadline := time.After(5 * time.Second)
	for {
		select {
		case f, ok := <-frames:
			if !ok {
				return b.String(), nil
			}
			b.Write(f.Data)
		case err := <-errs:
			return b.String(), err
		case <-deadline:
			return b.String(), errors.New("reading took too long")
		}
	}
}
