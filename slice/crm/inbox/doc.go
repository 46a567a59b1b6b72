// Package inbox holds the chats and messages in the slice's database, in step
// with WhatsApp.
//
// One goroutine, Service.Run, does everything that changes data because of
// WhatsApp: it takes in events, sends what waits to be sent, and compares what
// is stored with what WhatsApp has. Doing these one at a time is what makes the
// reasoning about ids simple: an outgoing message always has its WhatsApp id
// stored before the event that reports it is looked at.
package inbox
