package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
)

const (
	exportPage         = 500              // audit entries read at once
	exportWriteTimeout = 30 * time.Second // for one page of them
)

func exportLimit(userID string) limit { return limit{"export|" + userID, 5, 10 * time.Minute} }

// accountExport is what the platform keeps about a user, but for the entries of
// the audit log, which follow. What is in their workspace is the slice's to tell.
type accountExport struct {
	ExportedAt   time.Time         `json:"exported_at"`
	Workspace    exportedWorkspace `json:"workspace"`
	Account      exportedAccount   `json:"account"`
	Deletion     *exportedDeletion `json:"deletion"` // null unless it is scheduled
	SecondFactor secondFactorState `json:"second_factor"`
	Sessions     []sessionItem     `json:"sessions"`
	APITokens    []tokenItem       `json:"api_tokens"`
	Passkeys     []passkeyItem     `json:"passkeys"`
	Slices       []exportedSlice   `json:"slices"`
	Mails        []exportedMail    `json:"mails"`
}

type exportedWorkspace struct {
	SliceStatus
	ExportURL *string `json:"export_url"` // where it exports its own data; null while there is none
}

type exportedAccount struct {
	platform.User
	EmailVerifiedAt *time.Time `json:"email_verified_at"`
}

type exportedDeletion struct {
	RequestedAt time.Time `json:"requested_at"`
	DeletionAt  time.Time `json:"deletion_at"`
}

type exportedSlice struct {
	Number      int                 `json:"number"`
	State       platform.SliceState `json:"state"` // now
	Current     bool                `json:"current"`
	RequestedAt time.Time           `json:"requested_at"`
	ClaimedAt   time.Time           `json:"claimed_at"`
}

type exportedMail struct {
	Kind      platform.MailKind `json:"kind"`
	Recipient string            `json:"recipient"`
	CreatedAt time.Time         `json:"created_at"`
	SentAt    *time.Time        `json:"sent_at"` // null: not yet, or never
}

// exportedEntry is an entry of the audit log as its subject may see it: nothing
// of who in support acted, nor of what they noted for each other.
type exportedEntry struct {
	ID        string          `json:"id"`
	At        time.Time       `json:"at"`
	Actor     string          `json:"actor"` // you, support, platform
	Action    string          `json:"action"`
	Before    json.RawMessage `json:"before"`
	After     json.RawMessage `json:"after"`
	RequestID string          `json:"request_id"`
	Address   string          `json:"address"` // empty unless it is yours
}

func (s *Service) export(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	if err == nil {
		err = s.take(w, exportLimit(id.User.ID))
	}
	var out accountExport
	if err == nil {
		out, err = s.exported(r.Context(), id)
	}
	if err == nil {
		err = s.Store.RecordAudit(r.Context(), request.Audit(r.Context(), "user.export", "user", id.User.ID))
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="account.json"`)
	h.Set("Cache-Control", "no-store")
	if err := s.writeExport(w, r, out, id.User.ID); err != nil {
		// Half of a document must not look like one.
		request.From(r.Context()).Err = fmt.Errorf("export: %w", err)
		panic(http.ErrAbortHandler)
	}
}

// exported reads everything that is small.
func (s *Service) exported(ctx context.Context, id *Identity) (out accountExport, err error) {
	if id, err = s.Sessions.Reload(ctx, id.Session); err != nil {
		return out, err
	}
	user := id.User.ID
	history, err := s.Store.AccountHistory(ctx, user)
	if err != nil {
		return out, err
	}
	status, err := s.Status(ctx, id)
	if err != nil {
		return out, err
	}
	factor, err := s.Store.SecondFactor(ctx, user)
	if err != nil {
		return out, err
	}
	sessions, err := s.Store.ListSessions(ctx, user)
	if err != nil {
		return out, err
	}
	tokens, err := s.Store.ListAPITokens(ctx, user)
	if err != nil {
		return out, err
	}
	passkeys, err := s.Store.ListPasskeys(ctx, user)
	if err != nil {
		return out, err
	}
	out = accountExport{
		ExportedAt:   time.Now().UTC(),
		Workspace:    exportedWorkspace{SliceStatus: status},
		Account:      exportedAccount{User: id.User, EmailVerifiedAt: orNull(history.EmailVerifiedAt)},
		SecondFactor: secondFactorState{Enabled: factor.Secret != nil, RecoveryCodes: factor.RecoveryCodes},
		Sessions:     sessionItems(sessions, id.Session),
		APITokens:    make([]tokenItem, len(tokens)),
		Passkeys:     passkeyItems(passkeys),
		Slices:       make([]exportedSlice, len(history.Slices)),
		Mails:        make([]exportedMail, len(history.Mails)),
	}
	if id.Slice.State == platform.SliceAssigned {
		url := "/api/export"
		out.Workspace.ExportURL = &url
	}
	if !id.User.DeletionAt.IsZero() {
		out.Deletion = &exportedDeletion{history.DeletionRequestedAt.UTC(), id.User.DeletionAt.UTC()}
	}
	for i, t := range tokens {
		out.APITokens[i] = itemOf(t)
	}
	for i, sl := range history.Slices {
		out.Slices[i] = exportedSlice{sl.Number, sl.State, sl.Current, sl.RequestedAt.UTC(), sl.ClaimedAt.UTC()}
	}
	for i, m := range history.Mails {
		out.Mails[i] = exportedMail{m.Kind, m.Recipient, m.CreatedAt.UTC(), orNull(m.SentAt)}
	}
	return out, nil
}

// writeExport sends the document page by page: neither it nor a connection to the
// database is held for a client that reads slowly.
func (s *Service) writeExport(w http.ResponseWriter, r *http.Request, out accountExport, userID string) error {
	var page bytes.Buffer
	head, err := json.Marshal(out)
	if err != nil {
		return err
	}
	page.Write(head[:len(head)-1]) // the object goes on
	page.WriteString(`,"audit":[`)
	control := http.NewResponseController(w)
	var below int64
	for first := true; ; first = false {
		entries, err := s.Store.ListAudit(r.Context(), platform.AuditFilter{SubjectType: "user", SubjectID: userID, Below: below, Limit: exportPage})
		if err != nil {
			return err
		}
		for i, e := range entries {
			if !first || i > 0 {
				page.WriteByte(',')
			}
			text, err := json.Marshal(entryFor(e, userID))
			if err != nil {
				return err
			}
			page.Write(text)
			below = e.ID
		}
		last := len(entries) < exportPage
		if last {
			page.WriteString("]}\n")
		}
		_ = control.SetWriteDeadline(time.Now().Add(exportWriteTimeout)) // on a closed connection writing tells
		if _, err := page.WriteTo(w); err != nil {
			return err
		}
		if last {
			err := control.Flush()
			_ = control.SetWriteDeadline(time.Time{})
			return err
		}
	}
}

func entryFor(e platform.AuditEntry, userID string) exportedEntry {
	out := exportedEntry{
		ID: strconv.FormatInt(e.ID, 10), At: e.At.UTC(), Action: e.Action, Before: e.Before, After: e.After, RequestID: e.RequestID,
	}
	switch e.ActorID {
	case userID:
		out.Actor, out.Address = "you", e.ClientAddr
		return out
	case "":
		out.Actor = "platform"
	default:
		out.Actor = "support"
	}
	out.Before, out.After = withoutReason(e.Before), withoutReason(e.After)
	return out
}

// withoutReason leaves out what admins noted.
func withoutReason(about json.RawMessage) json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(about, &fields) != nil || fields == nil {
		return nil
	}
	delete(fields, "reason")
	text, err := json.Marshal(fields)
	if err != nil {
		return nil
	}
	return text
}

// orNull returns a time for JSON; null for the zero time.
func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
