// Package seccomp makes the filter of system calls that slice containers run
// under: Docker's default one, and what Chromium's own sandbox needs on top.
package seccomp

import (
	"encoding/json"
	"fmt"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// sandboxCalls are what Chromium's sandbox makes its user namespaces with, and
// what locks its processes into them. Docker allows them only to containers
// with CAP_SYS_ADMIN, which slices do not have: without capabilities they act
// on namespaces of the caller's own, so nothing of the host comes into reach.
var sandboxCalls = []string{"clone", "unshare", "setns", "chroot"}

// Profile returns the filter in the JSON that Docker's security option
// "seccomp=FILE" takes.
func Profile() ([]byte, error) {
	profile := seccomp.DefaultProfile()
	profile.Syscalls = append(profile.Syscalls, &seccomp.Syscall{
		LinuxSyscall: specs.LinuxSyscall{Names: sandboxCalls, Action: specs.ActAllow},
		Comment:      "user namespaces of Chromium's own sandbox",
	})
	b, err := json.MarshalIndent(profile, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("encode seccomp profile: %w", err)
	}
	return append(b, '\n'), nil
}
