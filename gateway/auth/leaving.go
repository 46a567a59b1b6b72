package auth

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

// LeavingStore is for users who take their data along, or leave.
type LeavingStore interface {
	// ScheduleDeletion has an account deleted once the time of grace is over,
	// and returns when. The user's sessions but one end, with their API tokens
	// and the links that were sent; which sessions and tokens, is returned.
	// Returns ErrUnauthenticated if the one session ended, and ErrConflict if it is
	// scheduled already or nobody would be left to run the platform.
	ScheduleDeletion(ctx context.Context, userID string, but [32]byte, by platform.AuditEntry) (at time.Time, ended [][32]byte, err error)

	// CancelOwnDeletion lets an account stay. Returns ErrUnauthenticated if the
	// session that asks ended, and ErrConflict if no deletion is scheduled.
	CancelOwnDeletion(ctx context.Context, userID string, session [32]byte, by platform.AuditEntry) error

	// AccountHistory returns what is kept of a user beside the account itself.
	// Returns ErrNotFound if there is no such user.
	AccountHistory(ctx context.Context, userID string) (platform.AccountHistory, error)

	// ListAudit returns the entries that the filter selects, newest first.
	ListAudit(ctx context.Context, f platform.AuditFilter) ([]platform.AuditEntry, error)

	// RecordAudit adds an entry about something that changes nothing here.
	RecordAudit(ctx context.Context, e platform.AuditEntry) error
}

func (s *Service) registerLeaving(r gin.IRouter) {
	recent := RequireRecent(s.Sessions)
	r.GET("/auth/export", recent, s.export)
	r.POST("/auth/account/deletion", recent, s.scheduleDeletion)
	r.DELETE("/auth/account/deletion", s.cancelDeletion)
}

func (s *Service) scheduleDeletion(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	var in struct {
		Email string `json:"email"` // typed, to be sure
	}
	if err := problem.DecodeJSON(w, r, maxBody, &in); err != nil {
		request.Fail(w, r, err)
		return
	}
	if platform.NormalizeEmail(in.Email) != id.User.Email {
		request.Fail(w, r, platform.Invalid(platform.FieldError{Field: "email", Detail: "is not the e-mail address of your account"}))
		return
	}
	// Each is a mail, and so is each cancellation.
	if err := s.take(w, mailsToOne(platform.MailDeletionRequested, id.User.ID)); err != nil {
		request.Fail(w, r, err)
		return
	}
	at, ended, err := s.Store.ScheduleDeletion(r.Context(), id.User.ID, id.Session, request.Audit(r.Context(), "", "", ""))
	if platform.CodeOf(err) == platform.ErrNotFound {
		err = errNoSession // it ended with the account
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	for _, hash := range ended {
		s.SessionEnded(hash)
	}
	s.Sessions.InvalidateUser(id.User.ID)
	s.MailQueued()
	problem.WriteJSON(w, http.StatusOK, map[string]time.Time{"deletion_at": at.UTC()})
}

func (s *Service) cancelDeletion(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	if err == nil {
		err = s.Store.CancelOwnDeletion(r.Context(), id.User.ID, id.Session, request.Audit(r.Context(), "", "", ""))
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	s.Sessions.InvalidateUser(id.User.ID)
	s.MailQueued()
	noContent(w)
}
