package inbox

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/request"
	"ipnoelp.io/platform/slice/whatsapp"
)

const (
	maxTextChars = 65536 // WhatsApp's own limit
	// maxBodyBytes holds a text of that length in whatever way JSON escapes it:
	// up to 12 bytes for a character beyond the BMP.
	maxBodyBytes  = 12*maxTextChars + 4096
	maxEmojiBytes = 64 // a family of several people has about 30
	maxSnooze     = 366 * 24 * time.Hour
)

// Register adds the routes of chats, messages, search and settings.
func (s *Service) Register(mux *http.ServeMux) {
	for pattern, f := range map[string]request.Func{
		"GET /api/chats":                           s.listChats,
		"GET /api/chats/counts":                    s.countChats,
		"GET /api/chats/{id}":                      s.getChat,
		"PATCH /api/chats/{id}":                    s.patchChat,
		"POST /api/chats/{id}/read":                s.postRead,
		"POST /api/chats/{id}/typing":              s.postTyping,
		"PUT /api/chats/{id}/labels/{label_id}":    s.putLabel,
		"DELETE /api/chats/{id}/labels/{label_id}": s.deleteLabel,
		"GET /api/chats/{id}/messages":             s.listMessages,
		"POST /api/chats/{id}/messages":            s.postMessage,
		"POST /api/contacts/{id}/chat":             s.postContactChat,
		"GET /api/messages/{id}":                   s.getMessage,
		"PATCH /api/messages/{id}":                 s.patchMessage,
		"DELETE /api/messages/{id}":                s.deleteMessage,
		"POST /api/messages/{id}/retry":            s.postRetry,
		"PUT /api/messages/{id}/reaction":          s.putReaction,
		"DELETE /api/messages/{id}/reaction":       s.deleteReaction,
		"GET /api/whatsapp/history":                s.listStates,
		"GET /api/search":                          s.getSearch,
		"GET /api/settings":                        s.getSettings,
		"PATCH /api/settings":                      s.patchSettings,
	} {
		mux.Handle(pattern, request.Func(func(w http.ResponseWriter, r *http.Request) error { return public(f(w, r)) }))
	}
}

func ok(w http.ResponseWriter, v any, err error) error {
	if err == nil {
		problem.WriteJSON(w, http.StatusOK, v)
	}
	return err
}

func done(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// chatIDOf returns the chat in the request's path.
func chatIDOf(r *http.Request) (string, error) {
	id := r.PathValue("id")
	if !whatsapp.ValidChatID(id) {
		return "", platform.Invalid(platform.FieldError{Field: "id", Detail: "must be the id of a chat, such as 4915112345678@c.us"})
	}
	return id, nil
}

func (s *Service) listChats(w http.ResponseWriter, r *http.Request) error {
	limit, after, err := request.Page(r)
	if err != nil {
		return err
	}
	f, err := filterOf(r)
	if err != nil {
		return err
	}
	page, err := s.store.Chats(r.Context(), f, limit, after)
	return ok(w, page, err)
}

var statuses = []string{StatusOpen, StatusPending, StatusClosed, StatusSnoozed}

func filterOf(r *http.Request) (Filter, error) {
	var f Filter
	var faults request.Faults
	const maxChars = 100
	if v := faults.Query(r, "status", maxChars); v != "" {
		f.Statuses = strings.Split(v, ",")
		for _, status := range f.Statuses {
			if !slices.Contains(statuses, status) {
				faults.Add("status", "must be one or more of %s, with commas between", strings.Join(statuses, ", "))
				break
			}
		}
	}
	boolean := func(name string) *bool {
		switch v := faults.Query(r, name, maxChars); v {
		case "":
		case "true", "false":
			b := v == "true"
			return &b
		default:
			faults.Add(name, "must be true or false")
		}
		return nil
	}
	f.Group = boolean("group")
	if unread := boolean("unread"); unread != nil {
		f.Unread = *unread
	}
	if v := faults.Query(r, "label", maxChars); v != "" {
		f.LabelID = faults.ID("label", v)
	}
	switch f.Sort = faults.Query(r, "sort", maxChars); f.Sort {
	case "", SortActivity, SortWaiting:
	default:
		faults.Add("sort", "must be %s or %s", SortActivity, SortWaiting)
	}
	return f, faults.Err()
}

func (s *Service) countChats(w http.ResponseWriter, r *http.Request) error {
	c, err := s.store.Counts(r.Context())
	return ok(w, c, err)
}

func (s *Service) getChat(w http.ResponseWriter, r *http.Request) error {
	id, err := chatIDOf(r)
	if err != nil {
		return err
	}
	c, err := s.store.Chat(r.Context(), id)
	return ok(w, c, err)
}

func (s *Service) patchChat(w http.ResponseWriter, r *http.Request) error {
	id, err := chatIDOf(r)
	if err != nil {
		return err
	}
	var body struct {
		Status       *string    `json:"status"`
		SnoozedUntil *time.Time `json:"snoozed_until"`
		Unread       *bool      `json:"unread"`
	}
	if err := request.JSON(w, r, &body); err != nil {
		return err
	}
	var faults request.Faults
	if body.Status != nil && !slices.Contains(statuses, *body.Status) {
		faults.Add("status", "must be one of %s", strings.Join(statuses, ", "))
	}
	snoozes := body.Status != nil && *body.Status == StatusSnoozed
	switch until := body.SnoozedUntil; {
	case snoozes && until == nil:
		faults.Add("snoozed_until", "is required with status snoozed")
	case !snoozes && until != nil:
		faults.Add("snoozed_until", "needs status snoozed")
	case until != nil && (!until.After(time.Now()) || time.Until(*until) > maxSnooze):
		faults.Add("snoozed_until", "must be in the future, a year at most")
	}
	if err := faults.Err(); err != nil {
		return err
	}
	c, err := s.setWorkflow(r.Context(), id, Workflow{body.Status, body.SnoozedUntil, body.Unread})
	return ok(w, c, err)
}

func (s *Service) postRead(w http.ResponseWriter, r *http.Request) error {
	id, err := chatIDOf(r)
	if err != nil {
		return err
	}
	var body struct {
		Receipt *bool `json:"receipt"`
	}
	if r.ContentLength != 0 { // without a body the settings decide
		if err := request.JSON(w, r, &body); err != nil {
			return err
		}
	}
	return done(w, s.read(r.Context(), id, body.Receipt))
}

func (s *Service) postTyping(w http.ResponseWriter, r *http.Request) error {
	id, err := chatIDOf(r)
	if err != nil {
		return err
	}
	var body struct {
		Typing *bool `json:"typing"`
	}
	if err := request.JSON(w, r, &body); err != nil {
		return err
	}
	if body.Typing == nil {
		return platform.Invalid(platform.FieldError{Field: "typing", Detail: "is required"})
	}
	return done(w, s.setTyping(r.Context(), id, *body.Typing))
}

func (s *Service) putLabel(w http.ResponseWriter, r *http.Request) error {
	return s.label(w, r, true)
}

func (s *Service) deleteLabel(w http.ResponseWriter, r *http.Request) error {
	return s.label(w, r, false)
}

func (s *Service) label(w http.ResponseWriter, r *http.Request, on bool) error {
	id, err := chatIDOf(r)
	if err != nil {
		return err
	}
	labelID, err := request.ID(r, "label_id")
	if err != nil {
		return err
	}
	return done(w, s.setLabel(r.Context(), id, labelID, on))
}

func (s *Service) postContactChat(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	var chatID string
	err = s.bus.Transact(r.Context(), func(tx *event.Tx) (err error) {
		chatID, err = s.OpenChat(r.Context(), tx, id)
		return err
	})
	if err != nil {
		return err
	}
	c, err := s.store.Chat(r.Context(), chatID)
	return ok(w, c, err)
}

func (s *Service) listMessages(w http.ResponseWriter, r *http.Request) error {
	id, err := chatIDOf(r)
	if err != nil {
		return err
	}
	limit, _, err := request.Page(r)
	if err != nil {
		return err
	}
	var faults request.Faults
	text := faults.Query(r, "before", maxBodyBytes)
	if err := faults.Err(); err != nil {
		return err
	}
	before, err := request.ParseCursor("before", text)
	if err != nil {
		return err
	}
	page, err := s.store.Messages(r.Context(), id, limit, before)
	return ok(w, page, err)
}

var clientID = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)

// fileTypes are the types of messages that have a file.
var fileTypes = []string{"image", "video", "audio", "voice", "document", "sticker"}

// typeOfFile is the type of a message with a file when the request names none.
func typeOfFile(mimeType string) string {
	for _, kind := range []string{"image", "video", "audio"} {
		if strings.HasPrefix(mimeType, kind+"/") {
			return kind
		}
	}
	return "document"
}

func (s *Service) postMessage(w http.ResponseWriter, r *http.Request) error {
	id, err := chatIDOf(r)
	if err != nil {
		return err
	}
	var body struct {
		Type     *string `json:"type"`
		Text     *string `json:"text"`
		FileID   *string `json:"file_id"`
		QuotedID *string `json:"quoted_id"`
		ClientID *string `json:"client_id"`
	}
	if err := problem.DecodeJSON(w, r, maxBodyBytes, &body); err != nil {
		return err
	}
	d := Draft{ChatID: id, Type: "text", ClientID: body.ClientID, Source: SourceUser}
	var faults request.Faults
	reference := func(field string, value *string) *int64 {
		if value == nil {
			return nil
		}
		n := faults.ID(field, *value)
		return &n
	}
	d.FileID, d.QuotedID = reference("file_id", body.FileID), reference("quoted_id", body.QuotedID)
	if body.Text != nil {
		d.Text = *body.Text
		faults.Text("text", d.Text, maxTextChars)
	}
	switch {
	case body.Type != nil:
		d.Type = *body.Type
	case d.FileID != nil:
		d.Type = "" // the file says
	}
	switch {
	case d.Type != "" && d.Type != "text" && !slices.Contains(fileTypes, d.Type):
		faults.Add("type", "must be text or one of %s", strings.Join(fileTypes, ", "))
	case d.Type == "text" && d.FileID != nil:
		faults.Add("type", "must name the kind of the file")
	case d.Type == "text" && strings.TrimSpace(d.Text) == "":
		faults.Add("text", "is required")
	case d.Type != "" && d.Type != "text" && d.FileID == nil:
		faults.Add("file_id", "is required for this type")
	case d.Text != "" && (d.Type == "voice" || d.Type == "audio" || d.Type == "sticker"):
		faults.Add("text", "is not possible with this type")
	}
	if body.ClientID != nil && !clientID.MatchString(*body.ClientID) {
		faults.Add("client_id", "must be 1 to 128 letters, digits or any of . _ : -")
	}
	if err := faults.Err(); err != nil {
		return err
	}
	var m Message
	err = s.bus.Transact(r.Context(), func(tx *event.Tx) (err error) {
		if d.Type == "" {
			var mimeType string
			if err := tx.QueryRow(r.Context(), `SELECT coalesce((SELECT mime_type FROM files WHERE id = $1), '')`, *d.FileID).Scan(&mimeType); err != nil {
				return err
			}
			d.Type = typeOfFile(mimeType)
			if d.Type == "audio" && d.Text != "" {
				return platform.Invalid(platform.FieldError{Field: "text", Detail: "is not possible with this type"})
			}
		}
		m, err = s.Enqueue(r.Context(), tx, d)
		return err
	})
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusCreated, m)
	return nil
}

func (s *Service) getMessage(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	m, err := getMessage(r.Context(), s.store.pool, id)
	return ok(w, m, err)
}

func (s *Service) patchMessage(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	var body struct {
		Text *string `json:"text"`
	}
	if err := problem.DecodeJSON(w, r, maxBodyBytes, &body); err != nil {
		return err
	}
	var faults request.Faults
	if body.Text == nil || strings.TrimSpace(*body.Text) == "" {
		faults.Add("text", "is required")
	} else {
		faults.Text("text", *body.Text, maxTextChars)
	}
	if err := faults.Err(); err != nil {
		return err
	}
	m, err := s.edit(r.Context(), id, *body.Text)
	return ok(w, m, err)
}

func (s *Service) deleteMessage(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	m, err := s.deleteForEveryone(r.Context(), id)
	return ok(w, m, err)
}

func (s *Service) postRetry(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	m, err := s.Retry(r.Context(), id)
	return ok(w, m, err)
}

func (s *Service) putReaction(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	var body struct {
		Emoji *string `json:"emoji"`
	}
	if err := request.JSON(w, r, &body); err != nil {
		return err
	}
	if body.Emoji == nil || !isEmoji(*body.Emoji) {
		return platform.Invalid(platform.FieldError{Field: "emoji", Detail: "must be one emoji"})
	}
	m, err := s.react(r.Context(), id, *body.Emoji)
	return ok(w, m, err)
}

// isEmoji keeps texts out; which emoji WhatsApp knows it says itself.
func isEmoji(s string) bool {
	if s == "" || len(s) > maxEmojiBytes || !utf8.ValidString(s) {
		return false
	}
	symbol := func(r rune) bool { return r >= 0x203C || r == '©' || r == '®' }
	joint := func(r rune) bool { return r == 0x200D || r == '#' || r == '*' || r >= '0' && r <= '9' } // as in keycaps
	return strings.ContainsFunc(s, symbol) && !strings.ContainsFunc(s, func(r rune) bool { return !symbol(r) && !joint(r) })
}

func (s *Service) deleteReaction(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	m, err := s.react(r.Context(), id, "")
	return ok(w, m, err)
}

func (s *Service) getSearch(w http.ResponseWriter, r *http.Request) error {
	limit, after, err := request.Page(r)
	if err != nil {
		return err
	}
	var faults request.Faults
	q := faults.Query(r, "q", maxQueryChars)
	if strings.TrimSpace(q) == "" {
		faults.Add("q", "is required")
	}
	if err := faults.Err(); err != nil {
		return err
	}
	found, err := s.store.Search(r.Context(), q, limit, after)
	return ok(w, found, err)
}

func (s *Service) getSettings(w http.ResponseWriter, _ *http.Request) error {
	return ok(w, s.settings.Load(), nil)
}

func (s *Service) patchSettings(w http.ResponseWriter, r *http.Request) error {
	set := *s.settings.Load() // fields that are not given stay
	if err := request.JSON(w, r, &set); err != nil {
		return err
	}
	var faults request.Faults
	for _, f := range []struct {
		name       string
		value, max int
	}{{"send_per_minute", set.SendPerMinute, maxPerMinute}, {"broadcast_per_minute", set.BroadcastPerMinute, maxBroadcastPerMinute}} {
		if f.value < 1 || f.value > f.max {
			faults.Add(f.name, "must be from 1 to %s", strconv.Itoa(f.max))
		}
	}
	if err := faults.Err(); err != nil {
		return err
	}
	if err := s.saveSettings(r.Context(), set); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	return ok(w, set, nil)
}
