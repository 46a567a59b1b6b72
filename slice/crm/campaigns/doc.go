// Package campaigns is what is written once and sent often, or later: quick
// replies, scheduled messages, and broadcasts to all contacts with a label.
//
// Everything that is sent goes through the inbox's outbox, which keeps the
// slice's rate; what is put there and that it was put there are one transaction.
package campaigns
