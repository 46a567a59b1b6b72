package nomad

import (
	"testing"

	"ipnoelp.io/platform/jobs"
)

func TestVariablesFile(t *testing.T) {
	job := SliceJob{Variables: map[string]any{
		"image": `a"b\c${d}%{e}` + "\n", "cpu": 50, "datacenters": []string{"dc1", "*"},
	}}
	got, err := job.variables(42, 7)
	want := `number = 42
generation = 7
cpu = 50
datacenters = ["dc1", "*"]
image = "a\"b\\c$${d}%%{e}\n"
`
	if err != nil || got != want {
		t.Errorf("got (%v)\n%s\nwant\n%s", err, got, want)
	}
	if _, err := (SliceJob{Variables: map[string]any{"x": 1.5}}).variables(1, 1); err == nil {
		t.Error("a value without a form in HCL was accepted")
	}
}

// A generation ends when anything that makes a slice changes, and only then.
func TestFingerprint(t *testing.T) {
	base := func() SliceJob {
		return SliceJob{Source: "job", Variables: map[string]any{"image": "a", "cpu": 1}}
	}
	print := func(j SliceJob, extra ...string) string {
		t.Helper()
		f, err := j.Fingerprint(extra...)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	first, second := print(base(), "1"), print(base(), "1")
	if first != second {
		t.Error("the same definition has two fingerprints")
	}
	seen := map[string]string{print(base(), "1"): "the definition"}
	source, image, cpu := base(), base(), base()
	source.Source = "job2"
	image.Variables["image"] = "b"
	cpu.Variables["cpu"] = 2
	for name, f := range map[string]string{"source": print(source, "1"), "image": print(image, "1"), "cpu": print(cpu, "1"),
		"schema": print(base(), "2"), "nothing extra": print(base()), "split": print(base(), "", "1")} {
		if other, ok := seen[f]; ok {
			t.Errorf("another %s has the fingerprint of %s", name, other)
		}
		seen[f] = name
	}
}

func TestPolicies(t *testing.T) {
	for _, program := range []string{"provisioner", "gateway"} {
		if p, err := Policy(program); err != nil || p == "" {
			t.Error(err)
		}
	}
	if _, err := Policy("nobody"); err == nil {
		t.Error("there is a policy for nobody")
	}
	if s, err := jobs.Source(jobs.Slice); err != nil || s == "" {
		t.Error(err)
	}
}
