package whatsappsim

import (
	"fmt"
	"slices"
	"strings"

	"ipnoelp.io/platform"
)

// Faults that can be played; the package comment says what each one does.
const (
	FaultDoubleNewMessage = "double_new_message"
	FaultSilentMessage    = "silent_message"
	FaultLIDContact       = "lid_contact"
	FaultOutOfOrder       = "out_of_order"

	FaultSendFailure  = "send_failure"
	FaultDelayedAck   = "delayed_ack"
	FaultDuplicateAck = "duplicate_ack"

	FaultMediaGone       = "media_gone"
	FaultPasskeyRequired = "passkey_required"

	FaultConflict      = "conflict"
	FaultRendererHang  = "renderer_hang"
	FaultRendererCrash = "renderer_crash"
	FaultNeedsUpdate   = "needs_update"
	FaultDisconnect    = "disconnect"

	FaultNeverReady = "never_ready"
)

var (
	messageFaults = []string{FaultDoubleNewMessage, FaultSilentMessage, FaultLIDContact, FaultOutOfOrder}
	sendFaults    = []string{FaultSendFailure, FaultDelayedAck, FaultDuplicateAck}
	sessionFaults = []string{FaultConflict, FaultRendererHang, FaultRendererCrash, FaultNeedsUpdate, FaultDisconnect}
	pageFaults    = []string{FaultNeverReady}
)

// maxWaitingFaults bounds those that wait for something to happen.
const maxWaitingFaults = 100

// waitingFaults is the list of the account that this fault waits in; nil for
// one that does not wait.
func (a *account) waitingFaults(fault string) *[]string {
	switch {
	case slices.Contains(messageFaults, fault):
		return &a.Faults
	case slices.Contains(sendFaults, fault):
		return &a.SendFaults
	case fault == FaultMediaGone:
		return &a.FileFaults
	case fault == FaultPasskeyRequired:
		return &a.LinkFaults
	}
	return nil
}

// fault makes something go wrong for the account: now, or the next count times
// that there is an occasion.
func (w *world) fault(phone, fault string, count int) error {
	return w.with(phone, func(a *account) error {
		waiting := a.waitingFaults(fault)
		if waiting == nil && !slices.Contains(sessionFaults, fault) {
			known := slices.Concat(messageFaults, sendFaults, []string{FaultMediaGone, FaultPasskeyRequired}, sessionFaults)
			return platform.Invalid(platform.FieldError{Field: "fault", Detail: "must be one of " + strings.Join(known, ", ")})
		}
		if d := countFault(count); d != "" {
			return platform.Invalid(platform.FieldError{Field: "count", Detail: d})
		}
		if waiting == nil {
			for s := range a.sessions {
				if s.device != 0 {
					s.faults = append(s.faults, fault)
					s.wakeUp()
				}
			}
			return nil
		}
		if len(*waiting)+count > maxWaitingFaults {
			return platform.Errorf(platform.ErrTooMany, "At most %d faults can wait.", maxWaitingFaults)
		}
		for range count {
			*waiting = append(*waiting, fault)
		}
		w.save(a)
		return nil
	})
}

// pageFault makes something go wrong in the next count pages that are loaded,
// of whatever account: a page says who it is only later.
func (w *world) pageFault(fault string, count int) error {
	var f faults
	if !slices.Contains(pageFaults, fault) {
		f.check("fault", "must be "+strings.Join(pageFaults, " or "))
	}
	f.check("count", countFault(count))
	if err := f.err(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pageFaults)+count > maxWaitingFaults {
		return platform.Errorf(platform.ErrTooMany, "At most %d faults can wait.", maxWaitingFaults)
	}
	for range count {
		w.pageFaults = append(w.pageFaults, fault)
	}
	return nil
}

func (w *world) takePageFault() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return take(&w.pageFaults)
}

func countFault(count int) string {
	if count < 1 || count > maxWaitingFaults {
		return fmt.Sprintf("must be 1 to %d", maxWaitingFaults)
	}
	return ""
}
