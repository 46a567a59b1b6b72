// Package contacts knows the people that the tenant talks to: what WhatsApp says
// of them and what the user adds, labels, fields of the user's own, notes, and
// who must not be written to; and brings them in and out as CSV.
package contacts
