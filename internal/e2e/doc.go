// Package e2e holds the end-to-end tests: they use the running stack as its
// users, operators and attackers would, over the same ports. `make test` starts
// the stack and runs them.
package e2e
