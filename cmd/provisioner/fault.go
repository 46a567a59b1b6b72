package main

import (
	"os"
	"syscall"

	"ipnoelp.io/platform/provisioner"
)

func faultSteps() []provisioner.Step {
	return append(provisioner.MakeSteps(), provisioner.RemoveSteps()...)
}

// dieAt returns a fault point that ends this process as a power cut would: no
// deferred call runs, nothing is given back.
func dieAt(step provisioner.Step) func(provisioner.Step) {
	return func(s provisioner.Step) {
		if s == step {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // nothing may happen until the signal is delivered
		}
	}
}
