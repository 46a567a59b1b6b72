package campaigns

import (
	"context"
	"fmt"
	"strings"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/crm/inbox"
	"ipnoelp.io/platform/slice/database"
)

// Outbox sends messages at the slice's rate. Both work within the caller's
// transaction; their errors have a code. Safe for concurrent use.
type Outbox interface {
	// Enqueue has a message sent. ErrConflict: no phone is linked. ErrTooMany:
	// too much waits. ErrNotFound, ErrInvalid: it cannot be sent at all.
	Enqueue(ctx context.Context, tx *event.Tx, d inbox.Draft) (inbox.Message, error)
	// OpenChat returns the chat of a contact, and makes it where there is none.
	OpenChat(ctx context.Context, tx *event.Tx, contactID int64) (chatID string, err error)
}

// neverSent reports whether an error of the outbox stays however often it is
// tried.
func neverSent(err error) bool {
	switch platform.CodeOf(err) {
	case platform.ErrNotFound, platform.ErrInvalid:
		return true
	}
	return false
}

const failureNoFile = "The file is not here any more."

// draft is a message with a text and perhaps a file.
func draft(ctx context.Context, q database.Querier, text string, fileID *int64) (inbox.Draft, error) {
	d := inbox.Draft{Type: "text", Text: text, FileID: fileID}
	if fileID == nil {
		return d, nil
	}
	var mimeType string
	if err := q.QueryRow(ctx, `SELECT mime_type FROM files WHERE id = $1`, *fileID).Scan(&mimeType); err != nil && !isNoRows(err) {
		return d, fmt.Errorf("file %d: %w", *fileID, err)
	}
	kind, _, _ := strings.Cut(mimeType, "/")
	switch {
	case kind == "image", kind == "video", kind == "audio" && text == "":
		d.Type = kind
	default: // sound has no caption
		d.Type = "document"
	}
	return d, nil
}
