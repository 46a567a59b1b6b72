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

// AccountStore changes accounts and their sessions. Each change adds an entry to
// the audit log, with what the caller knows of it: who asks, and from where.
type AccountStore interface {
	// QueueMail notes a mail that is to be sent. Without a user it is for the
	// account with this address, if there is one when it is sent.
	QueueMail(ctx context.Context, kind platform.MailKind, userID, recipient string) error

	// PasswordHash returns the hash of a user's password. Returns ErrNotFound
	// if there is no such user.
	PasswordHash(ctx context.Context, userID string) (string, error)

	// QueueEmailChange has a mail sent to the address that a user's session asks
	// to change to. Returns ErrUnauthenticated if the session ended.
	QueueEmailChange(ctx context.Context, userID string, session [32]byte, email string) error

	// AccountToken returns what a token from a mail stands for. Returns
	// ErrNotFound if it is not good, or not any more.
	AccountToken(ctx context.Context, tokenHash [32]byte) (platform.AccountToken, error)

	// VerifyEmail uses a token that came to an address: the account's own, or
	// the new one, which takes its place; then the old one is told. Returns
	// ErrNotFound for a token that is not good, and ErrConflict if somebody else
	// has the new address by now.
	VerifyEmail(ctx context.Context, tokenHash [32]byte, by platform.AuditEntry) (platform.User, error)

	// ResetPassword uses a token: the user gets another password, has no
	// sessions any more, and is told. Where the address was never verified a
	// user's second factors and passkeys go too, an admin's do not. Returns
	// ErrNotFound for a token that is not good.
	ResetPassword(ctx context.Context, tokenHash [32]byte, passwordHash string, by platform.AuditEntry) (platform.User, error)

	// ChangePassword gives a user another password, ends their other sessions,
	// gives the one at hand another token, and tells the user. Returns
	// ErrConflict if the password is no longer the one whose hash is before, and
	// ErrNotFound if the session ended.
	ChangePassword(ctx context.Context, userID, before, after string, session, rotated [32]byte, by platform.AuditEntry) error

	// Reauthenticated notes that the user has just proved who they are, and
	// gives the session another token. Returns ErrNotFound if it ended.
	Reauthenticated(ctx context.Context, userID string, session, rotated [32]byte, method platform.LogInMethod, by platform.AuditEntry) error

	// ListSessions returns a user's sessions, the last used first.
	ListSessions(ctx context.Context, userID string) ([]platform.Session, error)

	// EndSession ends one of a user's sessions by its id, and returns which it
	// was. Returns ErrNotFound if the user has no such session.
	EndSession(ctx context.Context, userID, id string, by platform.AuditEntry) ([32]byte, error)

	// EndOtherSessions ends a user's sessions but for one, with those in which they
	// act for others, and returns which. Returns ErrUnauthenticated if the one ended.
	EndOtherSessions(ctx context.Context, userID string, but [32]byte, by platform.AuditEntry) ([][32]byte, error)
}

// badToken is for a token that cannot be one; the store says the same of one
// that it does not know.
var errBadToken = platform.Errorf(platform.ErrNotFound, "This link is not valid any more. Ask for a new one.")

// mailsToOne bounds how many mails somebody makes us send to one person.
func mailsToOne(kind platform.MailKind, to string) limit {
	return limit{string(kind) + "|" + to, 3, 10 * time.Minute}
}

func (s *Service) registerEmail(r gin.IRouter) {
	r.POST("/auth/email/verify", s.verifyEmail)
	r.POST("/auth/email/verify/resend", s.resendVerification)
	r.POST("/auth/email/change", RequireRecent(s.Sessions), s.changeEmail)
}

func (s *Service) verifyEmail(c *gin.Context) {
	w, r := c.Writer, c.Request
	var in struct {
		Token string `json:"token"`
	}
	hash, err := tokenFrom(w, r, &in, &in.Token)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	user, err := s.Store.VerifyEmail(r.Context(), hash, request.Audit(r.Context(), "", "", ""))
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	request.From(r.Context()).UserID = user.ID
	s.Sessions.InvalidateUser(user.ID)
	s.MailQueued()
	problem.WriteJSON(w, http.StatusOK, map[string]string{"email": user.Email})
}

// tokenFrom reads a body that has, among others, a token.
func tokenFrom(w http.ResponseWriter, r *http.Request, in any, token *string) (hash [32]byte, err error) {
	if err := problem.DecodeJSON(w, r, maxBody, in); err != nil {
		return hash, err
	}
	if *token == "" {
		return hash, platform.Invalid(platform.FieldError{Field: "token", Detail: "is required"})
	}
	hash, ok := platform.HashSessionToken(*token)
	if !ok {
		return hash, errBadToken
	}
	return hash, nil
}

func (s *Service) resendVerification(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	if err == nil {
		err = s.resend(w, r, id)
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	s.MailQueued()
	accepted(w)
}

func (s *Service) resend(w http.ResponseWriter, r *http.Request, id *Identity) error {
	if id.User.EmailVerified {
		return platform.Errorf(platform.ErrConflict, "Your e-mail address is verified already.")
	}
	if err := s.take(w, mailsToOne(platform.MailVerifyEmail, id.User.Email)); err != nil {
		return err
	}
	return s.Store.QueueMail(r.Context(), platform.MailVerifyEmail, id.User.ID, id.User.Email)
}

func (s *Service) changeEmail(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	if err == nil {
		err = s.askForChange(w, r, id)
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	s.MailQueued()
	accepted(w)
}

// askForChange sends a mail to the new address, unless it is somebody's: the
// answer does not tell which. Nothing changes until its link is opened.
func (s *Service) askForChange(w http.ResponseWriter, r *http.Request, id *Identity) error {
	var in platform.Credentials
	if err := problem.DecodeJSON(w, r, maxBody, &in); err != nil {
		return err
	}
	in.Email = platform.NormalizeEmail(in.Email)
	if err := plausible(in); err != nil {
		return err
	}
	if d := platform.EmailFault(in.Email); d != "" {
		return platform.Invalid(platform.FieldError{Field: "email", Detail: d})
	}
	if in.Email == id.User.Email {
		return platform.Invalid(platform.FieldError{Field: "email", Detail: "is your address already"})
	}
	if _, err := s.checkPassword(w, r, id, "password", in.Password); err != nil {
		return err
	}
	if err := s.take(w, mailsToOne(platform.MailChangeEmail, id.User.ID), mailsToOne(platform.MailChangeEmail, in.Email)); err != nil {
		return err
	}
	return s.Store.QueueEmailChange(r.Context(), id.User.ID, id.Session, in.Email)
}

// accepted says that something happens by and by, without saying whether there
// is anything to happen.
func accepted(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusAccepted)
}

// authenticate returns who sends the request, and notes it for the log.
func (s *Service) authenticate(r *http.Request) (*Identity, error) {
	id, err := s.Sessions.Authenticate(r)
	if err == nil {
		request.From(r.Context()).UserID = id.User.ID
	}
	return id, err
}
