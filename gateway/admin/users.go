package admin

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

const (
	maxEmailPart = 254     // characters of a search for addresses
	maxBody      = 4 << 10 // bytes; a reason, each character escaped
	auditOnUser  = 20      // newest entries about a user in their detail
)

type userPage struct {
	Users      []userItem `json:"users"`
	NextCursor *string    `json:"next_cursor"`
}

type userItem struct {
	ID            string             `json:"id"`
	Email         string             `json:"email"`
	Role          platform.Role      `json:"role"`
	State         platform.UserState `json:"state"`
	CreatedAt     time.Time          `json:"created_at"`
	Slice         *userSlice         `json:"slice"`          // null if they have none
	QueuePosition *int               `json:"queue_position"` // null if they do not wait
	Sessions      int                `json:"sessions"`

	LastActivityAt *time.Time `json:"last_activity_at"` // null if not known
	DeletionAt     *time.Time `json:"deletion_at"`      // null unless the user asked for it
}

type userSlice struct {
	Number int                 `json:"number"`
	State  platform.SliceState `json:"state"`
}

type userDetail struct {
	userItem
	BlockedAt    *time.Time  `json:"blocked_at"`
	BlockReason  string      `json:"block_reason"`
	SecondFactor bool        `json:"second_factor"` // asked for at log-in
	Passkeys     int         `json:"passkeys"`      // registered
	Audit        []auditItem `json:"audit"`         // newest entries about the user
}

func newUserItem(u platform.UserRecord) userItem {
	item := userItem{ID: u.ID, Email: u.Email, Role: u.Role, State: u.State(), CreatedAt: u.CreatedAt.UTC(), Sessions: u.Sessions}
	if u.Slice.Number != 0 {
		item.Slice = &userSlice{u.Slice.Number, u.Slice.State}
	}
	if u.Position != 0 {
		item.QueuePosition = &u.Position
	}
	if !u.DeletionAt.IsZero() {
		at := u.DeletionAt.UTC()
		item.DeletionAt = &at
	}
	return item
}

func (s *Service) users(c *gin.Context) {
	q := parseQuery(c.Request)
	limit := q.limit()
	f := platform.UserFilter{
		Email: platform.NormalizeEmail(q.text("email", maxEmailPart)),
		Role:  platform.Role(q.oneOf("role", string(platform.RoleUser), string(platform.RoleAdmin))),
		State: platform.UserState(q.oneOf("state", string(platform.UserActive), string(platform.UserBlocked))),
		After: q.userCursor(), Limit: limit + 1,
	}
	if err := q.err(); err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	found, err := s.Store.ListUsers(c.Request.Context(), f)
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	found, next := page(found, limit, userCursor)
	ids := make([]string, len(found))
	for i, u := range found {
		ids[i] = u.ID
	}
	seen, err := s.Store.LastSeen(c.Request.Context(), ids)
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	out := userPage{Users: make([]userItem, len(found)), NextCursor: next}
	for i, u := range found {
		out.Users[i] = newUserItem(u)
		out.Users[i].LastActivityAt = seenAt(seen, u.ID)
	}
	problem.WriteJSON(c.Writer, http.StatusOK, out)
}

// userCursor names the last account of a page.
func userCursor(u platform.UserRecord) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(u.CreatedAt.UnixMicro(), 10) + "." + u.ID))
}

func (q *query) userCursor() platform.UserCursor {
	v := q.values.Get("cursor")
	if v == "" {
		return platform.UserCursor{}
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(v)
	micros, id, _ := strings.Cut(string(b), ".")
	n, numberErr := strconv.ParseInt(micros, 10, 64)
	// Within the years that the database keeps.
	if at := time.UnixMicro(n).UTC(); err == nil && numberErr == nil && isUUID(id) && at.Year() > 1 && at.Year() < 9999 {
		return platform.UserCursor{CreatedAt: at, ID: id}
	}
	q.fault("cursor", "is not a cursor of this list")
	return platform.UserCursor{}
}

// userID returns the id in the path; what no user can have is not found.
func userID(c *gin.Context) (string, error) {
	id := c.Param("id")
	if !isUUID(id) {
		return "", platform.Errorf(platform.ErrNotFound, "There is no such user.")
	}
	return strings.ToLower(id), nil
}

func (s *Service) user(c *gin.Context) {
	id, err := userID(c)
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	s.answerUser(c, id)
}

func (s *Service) answerUser(c *gin.Context, id string) {
	ctx := c.Request.Context()
	u, err := s.Store.UserRecord(ctx, id)
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	entries, err := s.Store.ListAudit(ctx, platform.AuditFilter{SubjectType: "user", SubjectID: id, Limit: auditOnUser})
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	factor, err := s.Store.SecondFactor(ctx, id)
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	out := userDetail{userItem: newUserItem(u), BlockReason: u.BlockReason, SecondFactor: factor.Secret != nil, Passkeys: factor.Passkeys, Audit: auditItems(entries)}
	seen, err := s.Store.LastSeen(ctx, []string{id})
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	out.LastActivityAt = seenAt(seen, id)
	if u.Blocked {
		at := u.BlockedAt.UTC()
		out.BlockedAt = &at
	}
	problem.WriteJSON(c.Writer, http.StatusOK, out)
}

func (s *Service) block(c *gin.Context) {
	var in struct {
		Reason string `json:"reason"`
	}
	id, err := s.otherUser(c)
	if err == nil {
		err = problem.DecodeJSON(c.Writer, c.Request, maxBody, &in)
	}
	if err == nil {
		err = textFault("reason", &in.Reason, platform.MaxBlockReason)
	}
	if err == nil {
		err = s.Store.BlockUser(c.Request.Context(), id, in.Reason, request.Audit(c.Request.Context(), "user.block", "user", id))
	}
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	s.UserChanged(id, platform.UserBlocked)
	s.answerUser(c, id)
}

func (s *Service) unblock(c *gin.Context) {
	id, err := userID(c)
	if err == nil {
		err = s.Store.UnblockUser(c.Request.Context(), id, request.Audit(c.Request.Context(), "user.unblock", "user", id))
	}
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	s.UserChanged(id, platform.UserActive)
	s.answerUser(c, id)
}

func (s *Service) deleteUser(c *gin.Context) {
	id, err := s.otherUser(c)
	if err == nil {
		err = s.Store.DeleteUser(c.Request.Context(), id, request.Audit(c.Request.Context(), "user.delete", "user", id))
	}
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	s.UserChanged(id, platform.UserDeleted)
	c.Writer.Header().Set("Cache-Control", "no-store")
	c.Writer.WriteHeader(http.StatusNoContent)
}

// cancelDeletion is for who cannot log in to do it.
func (s *Service) cancelDeletion(c *gin.Context) {
	id, err := userID(c)
	if err == nil {
		err = s.Store.CancelDeletion(c.Request.Context(), id, request.Audit(c.Request.Context(), "", "", ""))
	}
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	s.UserChanged(id, platform.UserActive)
	s.answerUser(c, id)
}

// resetSecondFactor is for who lost the authenticator and the recovery codes, or
// the device with the passkeys.
func (s *Service) resetSecondFactor(c *gin.Context) {
	id, err := userID(c)
	if err == nil {
		_, err = s.Store.UserRecord(c.Request.Context(), id)
	}
	if err == nil {
		err = s.Store.ResetSecondFactors(c.Request.Context(), id, request.Audit(c.Request.Context(), "user.second_factor_reset", "user", id))
		if platform.CodeOf(err) == platform.ErrNotFound {
			err = platform.Errorf(platform.ErrConflict, "The user has neither a second factor nor passkeys.")
		}
	}
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	s.answerUser(c, id)
}

// otherUser returns the id in the path, which must not be the admin's own.
func (s *Service) otherUser(c *gin.Context) (string, error) {
	id, err := userID(c)
	if err == nil && id == request.From(c.Request.Context()).UserID {
		err = platform.Errorf(platform.ErrConflict, "This is your own account.")
	}
	return id, err
}

// textFault trims a required text of at most limit characters.
func textFault(field string, text *string, limit int) error {
	*text = strings.TrimSpace(*text)
	var detail string
	switch {
	case *text == "":
		detail = "is required"
	case strings.ContainsRune(*text, 0):
		detail = "must not contain U+0000"
	case utf8.RuneCountInString(*text) > limit:
		detail = "must have at most " + strconv.Itoa(limit) + " characters"
	default:
		return nil
	}
	return platform.Invalid(platform.FieldError{Field: field, Detail: detail})
}
