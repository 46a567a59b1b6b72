// Package crm is what a tenant's slice knows and does, in the slice's own
// database; each part is a package of its own:
//
//	inbox      chats and messages, in step with WhatsApp; what waits to be sent
//	contacts   people: profile, labels, notes, opt-out, import and export
//	campaigns  quick replies, scheduled messages, broadcasts
//	sales      pipeline, deals, tasks
//	reports    figures over all of it
//	media      files of messages
//	webhooks   events for other systems
//	archive    export of everything, and erasure
//	event      what the parts tell clients and webhooks
package crm

import (
	"context"
	"net/http"
)

// Module is one part of the CRM.
type Module interface {
	// Register adds the module's routes, below /api. None is asked before the
	// database is migrated.
	Register(mux *http.ServeMux)

	// Run does what is due by itself until ctx ends; it is called once the
	// database is migrated.
	Run(ctx context.Context)
}
