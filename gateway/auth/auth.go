// Package auth signs users up, in and out, and tells who sends a request.
package auth

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-webauthn/webauthn/webauthn"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/metrics"
	"ipnoelp.io/platform/gateway/password"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

// maxBody fits an address and a password of the longest kind, each character
// escaped.
const maxBody = 8 << 10

const maxUserAgent = 300 // characters kept of a browser's name

// Store keeps accounts and sessions.
type Store interface {
	SessionStore
	SignUpStore
	AccountStore
	SecondFactorStore
	TokenStore
	LeavingStore
	PasskeyStore

	// UserByEmail returns a user and the hash of their password. Returns
	// ErrNotFound if there is none.
	UserByEmail(ctx context.Context, email string) (platform.User, string, error)

	// CreateSession stores a session. Returns ErrUnauthenticated if the password or
	// passkey that was given is not the user's any more.
	CreateSession(ctx context.Context, userID string, start platform.SessionStart, by platform.AuditEntry) error

	// DeleteSession ends a session, which is its user's doing, or that of the
	// admin who acts for them; not an error if it does not exist.
	DeleteSession(ctx context.Context, tokenHash [32]byte, by platform.AuditEntry) error

	// QueuePosition returns where a user stands. Returns ErrNotFound if they
	// do not wait.
	QueuePosition(ctx context.Context, userID string) (platform.QueuePosition, error)
}

// Service answers the routes under /auth, but for the slice's events.
type Service struct {
	Store    Store
	Sessions *Sessions
	Hasher   *password.Hasher
	Metrics  *metrics.Metrics
	Log      *slog.Logger

	// SessionEnded is told which session was ended here, before the answer.
	SessionEnded func(tokenHash [32]byte)

	// ServerTiming adds to the answer of a sign-up how long the hash took.
	ServerTiming bool

	// MailQueued is told that there is a mail to send.
	MailQueued func()

	// MailsDelivered has sign-ups begin with a mail, unless the settings say
	// otherwise.
	MailsDelivered bool

	// Devices knows the browsers that users logged in from.
	Devices *Devices

	PlatformKey []byte // what is sealed is sealed with keys derived from it
	Issuer      string // names us in authenticator apps; the domain of passkeys
	Origin      string // scheme://host[:port] of the app: passkeys are used there only

	limits     *limiter
	secrets    sealer // of second factors, in the database
	logIns     sealer // of log-ins that are half-way, in a cookie
	ceremonies sealer // of what passkeys are asked, in a cookie
	passkeys   *webauthn.WebAuthn
}

// Register adds the routes.
func (s *Service) Register(r gin.IRouter) {
	s.limits = newLimiter()
	s.secrets = newSealer(s.PlatformKey, "second factor")
	s.logIns = newSealer(s.PlatformKey, "log-in")
	s.ceremonies = newSealer(s.PlatformKey, "passkey")
	s.passkeys = relyingParty(s.Issuer, s.Origin)
	s.registerSignUp(r)
	r.POST("/auth/login", s.logIn)
	r.POST("/auth/logout", s.logOut)
	r.GET("/auth/me", s.me)
	s.registerEmail(r)
	s.registerPassword(r)
	s.registerSessions(r)
	s.registerTOTP(r)
	s.registerTokens(r)
	s.registerLeaving(r)
	s.registerPasskeys(r)
}

func (s *Service) logIn(c *gin.Context) {
	w, r := c.Writer, c.Request
	var in platform.Credentials
	if err := problem.DecodeJSON(w, r, maxBody, &in); err != nil {
		request.Fail(w, r, err)
		return
	}
	in.Email = platform.NormalizeEmail(in.Email)
	if err := plausible(in); err != nil {
		request.Fail(w, r, err)
		return
	}
	limits, err := s.logInLimits(r, in.Email)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	if err := s.take(w, limits...); err != nil {
		s.Metrics.LogIns.WithLabelValues("throttled").Inc()
		request.Fail(w, r, err)
		return
	}
	user, hash, match, err := s.checkCredentials(r, in)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	if !match {
		s.Metrics.LogIns.WithLabelValues("wrong").Inc()
		request.Fail(w, r, platform.Errorf(platform.ErrUnauthenticated, "The e-mail address or the password is wrong."))
		return
	}
	if user.Blocked { // told to who knows the password only
		request.Fail(w, r, ErrBlocked)
		return
	}
	s.limits.giveBack(limits...)
	if asked, err := s.askForCode(w, r, user, hash); asked || err != nil {
		request.Fail(w, r, err)
		return
	}
	s.beginSession(w, r, user, platform.SessionStart{Method: platform.LogInByPassword, Password: hash})
}

// beginSession ends a log-in: the user has proved who they are, by what proof says.
func (s *Service) beginSession(w http.ResponseWriter, r *http.Request, user platform.User, proof platform.SessionStart) {
	request.From(r.Context()).UserID = user.ID
	token, start := newSession(r)
	start.Method, start.Password, start.Passkey = proof.Method, proof.Password, proof.Passkey
	if err := s.Store.CreateSession(r.Context(), user.ID, start, request.Audit(r.Context(), "", "", "")); err != nil {
		request.Fail(w, r, err)
		return
	}
	s.Metrics.LogIns.WithLabelValues("ok").Inc()
	s.endPrevious(r)
	id, err := s.Sessions.Lookup(r.Context(), start.TokenHash)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	setCookie(w, token, start.ExpiresAt)
	s.rememberDevice(w, r, user, start.Password)
	s.answer(w, r, http.StatusOK, id)
}

// checkCredentials takes as long for an account that does not exist.
func (s *Service) checkCredentials(r *http.Request, in platform.Credentials) (user platform.User, hash string, match bool, err error) {
	if platform.EmailFault(in.Email) == "" { // else nobody's: the database need not see it
		user, hash, err = s.Store.UserByEmail(r.Context(), in.Email)
		if err != nil && platform.CodeOf(err) != platform.ErrNotFound {
			return user, "", false, err
		}
	}
	match, err = s.Hasher.Verify(r.Context(), in.Password, hash)
	return user, hash, match, err
}

func (s *Service) logOut(c *gin.Context) {
	w, r := c.Writer, c.Request
	if hash, ok := platform.HashSessionToken(SessionToken(r)); ok {
		if err := s.end(r.Context(), hash); err != nil {
			request.Fail(w, r, err)
			return
		}
	}
	clearCookie(w)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

func (s *Service) me(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.Sessions.Authenticate(r)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	request.From(r.Context()).UserID = id.User.ID
	s.answer(w, r, http.StatusOK, id)
}

// me is the body that tells a client who they are.
type me struct {
	User  platform.User `json:"user"`
	Slice SliceStatus   `json:"slice"`

	DeletionAt    *time.Time     `json:"deletion_at"`   // null unless the user asked for it
	Impersonation *impersonation `json:"impersonation"` // null unless an admin acts for the user
}

type impersonation struct {
	ExpiresAt time.Time `json:"expires_at"`
}

func (s *Service) answer(w http.ResponseWriter, r *http.Request, status int, id *Identity) {
	st, err := s.Status(r.Context(), id)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	out := me{User: id.User, Slice: st, DeletionAt: orNull(id.User.DeletionAt)}
	if id.ImpersonatorID != "" {
		out.Impersonation = &impersonation{id.ExpiresAt.UTC()}
	}
	problem.WriteJSON(w, status, out)
}

// end ends a session here and, by the database's notification, on the other
// gateways.
func (s *Service) end(ctx context.Context, hash [32]byte) error {
	if err := s.Store.DeleteSession(ctx, hash, request.Audit(ctx, "", "", "")); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	s.SessionEnded(hash)
	return nil
}

// endPrevious ends the session that the client had before it got a new one.
func (s *Service) endPrevious(r *http.Request) {
	if hash, ok := platform.HashSessionToken(SessionToken(r)); ok {
		if err := s.end(r.Context(), hash); err != nil {
			s.Log.Warn("the previous session was not ended", "error", err)
		}
	}
}

// newSession begins a session for whoever sends the request.
func newSession(r *http.Request) (token string, start platform.SessionStart) {
	token = platform.NewSessionToken()
	start.TokenHash, _ = platform.HashSessionToken(token)
	start.ExpiresAt = time.Now().Add(platform.SessionLifetime)
	start.ClientAddr = request.From(r.Context()).ClientAddr
	start.UserAgent = userAgent(r)
	return token, start
}

func userAgent(r *http.Request) string {
	ua := []rune(strings.ToValidUTF8(r.UserAgent(), "\uFFFD"))
	return string(ua[:min(len(ua), maxUserAgent)])
}

// plausible turns away what no account can have, before it costs a hash. The
// rules for new passwords do not apply: they may change.
func plausible(in platform.Credentials) error {
	var fields []platform.FieldError
	if in.Email == "" {
		fields = append(fields, platform.FieldError{Field: "email", Detail: "is required"})
	}
	if in.Password == "" {
		fields = append(fields, platform.FieldError{Field: "password", Detail: "is required"})
	}
	if fields != nil {
		return platform.Invalid(fields...)
	}
	return nil
}
