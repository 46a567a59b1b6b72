package whatsappsim

import (
	"slices"
	"strings"

	"ipnoelp.io/platform"
)

// Faults that can be played; the package comment says what each one does.
const (
	FaultDoubleNewMessage = "double_new_message"
	FaultSilentMessage    = "silent_message"
	FaultLIDContact       = "lid_contact"
	FaultConflict         = "conflict"
	FaultRendererHang     = "renderer_hang"
	FaultDisconnect       = "disconnect"
)

var (
	messageFaults = []string{FaultDoubleNewMessage, FaultSilentMessage, FaultLIDContact}
	sessionFaults = []string{FaultConflict, FaultRendererHang, FaultDisconnect}
)

// maxWaitingFaults bounds those that wait for a message.
const maxWaitingFaults = 100

func (w *world) fault(phone, fault string) error {
	return w.with(phone, func(a *account) error {
		switch {
		case slices.Contains(messageFaults, fault):
			if len(a.Faults) >= maxWaitingFaults {
				return platform.Errorf(platform.ErrTooMany, "%d faults wait for a message already.", maxWaitingFaults)
			}
			a.Faults = append(a.Faults, fault)
			w.changed()
		case slices.Contains(sessionFaults, fault):
			for s := range a.sessions {
				if s.device != 0 {
					s.faults = append(s.faults, fault)
					s.wakeUp()
				}
			}
		default:
			return platform.Invalid(platform.FieldError{Field: "fault",
				Detail: "must be one of " + strings.Join(append(slices.Clone(messageFaults), sessionFaults...), ", ")})
		}
		return nil
	})
}
