package platform

import "time"

// QueuePosition tells a waiting user where they stand. A user who has a slice
// is not in the queue.
type QueuePosition struct {
	Position int           // 1 is next
	Estimate time.Duration // until served; 0 when unknown
}
