package provisioner

import (
	"fmt"

	"ipnoelp.io/platform"
)

// ActionKind says what an Action does.
type ActionKind string

const (
	// Transition changes the record's state from From to To, if it still is
	// From.
	Transition ActionKind = "transition"
	// Request takes a number for a new slice.
	Request ActionKind = "request"
	// Make does what is left to do until the job of a requested or
	// provisioning slice is registered.
	Make ActionKind = "make"
	// Restore registers the job of a slice with a user again, on the database
	// that it has.
	Restore ActionKind = "restore"
	// Remove takes job, variable, database and role away, then the record
	// becomes gone.
	Remove ActionKind = "remove"
	// Report tells operators of something that the platform leaves alone.
	Report ActionKind = "report"
)

// Action is one thing to do about one slice. Number is 0 for Request.
type Action struct {
	Kind   ActionKind
	Number int
	From   platform.SliceState // the state that the action relies on; "" without a record
	To     platform.SliceState // of a Transition
	Reason string
}

func (a Action) String() string {
	switch a.Kind {
	case Transition:
		return fmt.Sprintf("%s %s→%s (%s)", platform.SliceName(a.Number), a.From, a.To, a.Reason)
	case Request:
		return "request a slice"
	}
	return fmt.Sprintf("%s %s %s", a.Kind, a.From, platform.SliceName(a.Number))
}

// rank orders what one Plan returns: what gives a user a slice comes first,
// what only tidies up last.
func (a Action) rank() int {
	switch a.Kind {
	case Transition:
		if a.To == platform.SliceWarm || a.To == platform.SliceAssigned {
			return 0
		}
		return 1
	case Restore:
		return 2
	case Make:
		return 3
	case Request:
		return 4
	case Remove:
		return 5
	default:
		return 6
	}
}
