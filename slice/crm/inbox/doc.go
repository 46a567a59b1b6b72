// Package inbox holds the chats and messages in the slice's database, in step
// with WhatsApp, and sends what is written.
//
// One goroutine, Service.Run, does everything that changes data because of
// WhatsApp: it takes in events, sends what waits to be sent, and compares what
// is stored with what WhatsApp has. Doing these one at a time is what makes the
// reasoning about ids simple: an outgoing message always has its WhatsApp id
// stored before it is sent, so before any event that reports it.
//
//	ingest.go    what WhatsApp says becomes rows
//	outbox.go    what a person writes waits, is sent once, or fails visibly
//	pace.go      how fast it is sent
//	sync.go      comparing with WhatsApp
//	workflow.go  status of conversations, snoozing, labels
//	change.go    reactions, edits, deletions, typing, read marks
//	list.go      lists of chats and messages
//	search.go    search
//	http.go      the routes
package inbox
