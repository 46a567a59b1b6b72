// Package webhooks tells other systems what happened.
//
// A delivery is a row that event.Bus writes in the transaction of the change
// that it tells, so a crash loses neither. It is sent until the receiver answers
// with 2xx, for a day, with growing pauses: at least once, always with the same
// id and the same body, so that a receiver can tell repetitions.
//
// Each webhook gets one request at a time, in the order in which the events were
// stored. A delivery that failed is tried again later, and those behind it go
// on; so one that the receiver cannot take does not stop the rest, and a
// receiver that needs the order looks at created_at. While all attempts fail the
// webhook rests for up to five minutes between two of them, whatever waits.
//
// Only public addresses are told anything: a URL is checked when it is stored,
// and the address that is really dialled is checked again.
package webhooks
