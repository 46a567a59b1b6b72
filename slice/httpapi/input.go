package httpapi

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/whatsapp"
)

const (
	defaultLimit = 50
	maxLimit     = 200
	maxTextChars = 65536 // WhatsApp's own limit
	// maxBodyBytes holds a text of that length in whatever way JSON escapes it:
	// up to 12 bytes for a character beyond the BMP.
	maxBodyBytes = 12*maxTextChars + 4096
)

var clientID = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)

// chatIDOf returns the chat in the request's path.
func chatIDOf(r *http.Request) (string, error) {
	id := r.PathValue("id")
	if !whatsapp.ValidChatID(id) {
		return "", platform.Invalid(platform.FieldError{Field: "id", Detail: "must be the id of a chat, such as 4915112345678@c.us"})
	}
	return id, nil
}

// query reads limit and a cursor of the given name from the query.
func query(r *http.Request, cursorName string) (limit int, cursor string, err error) {
	values := r.URL.Query()
	limit = defaultLimit
	var fields []platform.FieldError
	for _, name := range []string{"limit", cursorName} {
		if len(values[name]) > 1 {
			fields = append(fields, platform.FieldError{Field: name, Detail: "must be given once"})
		}
	}
	if s := values.Get("limit"); s != "" || values.Has("limit") {
		n, convErr := strconv.Atoi(s)
		if convErr != nil || n < 1 || n > maxLimit {
			fields = append(fields, platform.FieldError{Field: "limit", Detail: fmt.Sprintf("must be a number from 1 to %d", maxLimit)})
		}
		limit = n
	}
	if fields != nil {
		return 0, "", platform.Invalid(fields...)
	}
	return limit, values.Get(cursorName), nil
}

// healthWait reads how long a health check waits; 0 when it does not say.
func healthWait(r *http.Request) (time.Duration, error) {
	s := r.URL.Query().Get("wait")
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > maxHealthWait {
		return 0, platform.Invalid(platform.FieldError{Field: "wait", Detail: fmt.Sprintf("must be a duration of at most %v, such as 1500ms", maxHealthWait)})
	}
	return d, nil
}

// outgoing is the body of a message to send.
type outgoing struct {
	Text     *string `json:"text"`
	ClientID *string `json:"client_id"`
}

func readOutgoing(w http.ResponseWriter, r *http.Request) (outgoing, error) {
	var m outgoing
	if err := problem.DecodeJSON(w, r, maxBodyBytes, &m); err != nil {
		return m, err
	}
	var fields []platform.FieldError
	if d := textFault(m.Text); d != "" {
		fields = append(fields, platform.FieldError{Field: "text", Detail: d})
	}
	if m.ClientID != nil && !clientID.MatchString(*m.ClientID) {
		fields = append(fields, platform.FieldError{Field: "client_id", Detail: "must be 1 to 128 letters, digits or any of . _ : -"})
	}
	if fields != nil {
		return m, platform.Invalid(fields...)
	}
	return m, nil
}

func textFault(text *string) string {
	switch {
	case text == nil || strings.TrimSpace(*text) == "":
		return "is required"
	case utf8.RuneCountInString(*text) > maxTextChars:
		return fmt.Sprintf("must have at most %d characters", maxTextChars)
	case strings.ContainsRune(*text, 0):
		return "must not hold the character U+0000"
	}
	return ""
}
