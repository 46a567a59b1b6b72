package seccomp

import (
	"encoding/json"
	"slices"
	"testing"
)

type rule struct {
	Names    []string
	Action   string
	Args     []any
	Includes map[string]any
	Excludes map[string]any
}

func rules(t *testing.T) (defaultAction string, list []rule) {
	t.Helper()
	b, err := Profile()
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		DefaultAction string
		Syscalls      []rule
	}
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	return p.DefaultAction, p.Syscalls
}

func TestProfileAllowsOnlyWhatTheSandboxNeedsOnTop(t *testing.T) {
	t.Parallel()
	action, list := rules(t)
	if action != "SCMP_ACT_ERRNO" {
		t.Errorf("what is not named: %s, want it refused", action)
	}
	unconditional := func(name string) bool {
		return slices.ContainsFunc(list, func(r rule) bool {
			return r.Action == "SCMP_ACT_ALLOW" && slices.Contains(r.Names, name) && len(r.Args)+len(r.Includes)+len(r.Excludes) == 0
		})
	}
	for _, name := range []string{"clone", "unshare", "setns", "chroot", "read", "execve"} {
		if !unconditional(name) {
			t.Errorf("%s is not allowed", name)
		}
	}
	for _, name := range []string{"mount", "umount2", "pivot_root", "bpf", "init_module", "kexec_load", "reboot", "keyctl", "perf_event_open"} {
		if unconditional(name) {
			t.Errorf("%s is allowed without a condition", name)
		}
	}
}
