package event

// Any stands for all events in a webhook's list.
const Any = "*"

// Names are the events that a webhook can ask for: all but those that are only
// published, and not stored.
var Names = []string{
	"broadcast:created", "broadcast:deleted", "broadcast:updated",
	"chat:updated",
	"contact:created", "contact:deleted", "contact:imported", "contact:merged", "contact:updated",
	"data:erased",
	"deal:created", "deal:deleted", "deal:moved", "deal:updated",
	"label:created", "label:deleted", "label:updated",
	"message:ack", "message:new", "message:reaction", "message:updated",
	"quick_reply:created", "quick_reply:deleted", "quick_reply:updated",
	"scheduled:created", "scheduled:sent", "scheduled:updated",
	"stage:created", "stage:deleted", "stage:updated",
	"task:created", "task:deleted", "task:due", "task:updated",
	"webhook:disabled", "webhook:test",
	"whatsapp:state",
}
