package whatsapp

import (
	"errors"
	"fmt"
)

var (
	// ErrNotReady says that nothing can be asked of WhatsApp in the present state.
	ErrNotReady = errors.New("whatsapp is not ready")

	// ErrNotFound says that WhatsApp does not know what was asked for: a message,
	// a chat, a file.
	ErrNotFound = errors.New("whatsapp does not know it")

	// ErrRefused says that WhatsApp does not do what was asked, and that nothing
	// changed: a message too old to be edited, a file too large.
	ErrRefused = errors.New("whatsapp refuses it")
)

// errNoAgent says that the page is between two documents.
var errNoAgent = fmt.Errorf("%w: the page is loading", ErrNotReady)

// scriptError is an exception of the page's own code. Its text is the page's;
// it goes to the log, shortened, and to no client.
type scriptError struct{ text string }

func (e *scriptError) Error() string { return "script: " + e.text }

const maxScriptError = 200 // bytes in a log

// refusal is an error of wa-js, which has a code. It is one of the errors above.
type refusal struct{ code, text string }

func (e *refusal) Error() string {
	return fmt.Sprintf("wa-js: %.60s: %.200s", e.code, e.text)
}

func (e *refusal) Unwrap() error {
	switch e.code {
	case "not_ready":
		return ErrNotReady
	case "chat_not_found", "msg_not_found", "wid_not_found", "message_not_contains_media", "media_not_found":
		return ErrNotFound
	}
	return ErrRefused
}
