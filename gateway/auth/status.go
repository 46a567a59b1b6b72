package auth

import (
	"context"
	"math"

	"ipnoelp.io/platform"
)

// SliceStatus tells users how things stand with their slice.
type SliceStatus struct {
	State           string `json:"state"`            // queued, assigned, held, suspended or none
	Position        *int   `json:"position"`         // while queued; 1 is next
	EstimateSeconds *int   `json:"estimate_seconds"` // while queued, when known
}

// Equal reports whether both say the same.
func (s SliceStatus) Equal(o SliceStatus) bool {
	same := func(a, b *int) bool { return a == b || a != nil && b != nil && *a == *b }
	return s.State == o.State && same(s.Position, o.Position) && same(s.EstimateSeconds, o.EstimateSeconds)
}

// Status returns how things stand with a user's slice.
func (s *Service) Status(ctx context.Context, id *Identity) (SliceStatus, error) {
	if st, ok := statusOf(id); ok {
		return st, nil
	}
	p, err := s.Store.QueuePosition(ctx, id.User.ID)
	if err == nil {
		return Queued(p), nil
	}
	if platform.CodeOf(err) != platform.ErrNotFound {
		return SliceStatus{}, err
	}
	// Served since the session was read, most likely.
	if id, err = s.Sessions.Reload(ctx, id.Session); err != nil {
		return SliceStatus{}, err
	}
	st, _ := statusOf(id)
	return st, nil
}

// statusOf returns what needs no look at the queue; false, and "none", for a
// user who may be waiting.
func statusOf(id *Identity) (SliceStatus, bool) {
	switch id.Slice.State {
	case platform.SliceAssigned, platform.SliceHeld, platform.SliceSuspended:
		return SliceStatus{State: string(id.Slice.State)}, true
	default:
		return SliceStatus{State: "none"}, id.Slice.Number != 0 || id.User.Role == platform.RoleAdmin
	}
}

// Queued returns the status of a user who waits.
func Queued(p platform.QueuePosition) SliceStatus {
	st := SliceStatus{State: "queued", Position: &p.Position}
	if p.Estimate > 0 {
		seconds := int(math.Ceil(p.Estimate.Seconds()))
		st.EstimateSeconds = &seconds
	}
	return st
}
