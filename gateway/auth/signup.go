package auth

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

// SignUpStore makes accounts.
type SignUpStore interface {
	// SignUp makes a user with a session and gives them a warm slice, or a
	// place in the queue: then the slice is zero. A mail asks them to verify the
	// address. Returns ErrConflict if it is taken; nothing changed then.
	SignUp(ctx context.Context, email, passwordHash string, start platform.SessionStart, by platform.AuditEntry) (platform.User, platform.Slice, error)

	// SignUpByMail does the same for the address that a token was sent to, which
	// is verified with it. Returns ErrNotFound for a token that is not good, and
	// for one of an address that has an account by now.
	SignUpByMail(ctx context.Context, tokenHash [32]byte, passwordHash string, start platform.SessionStart, by platform.AuditEntry) (platform.User, platform.Slice, error)

	// SignUpToken returns the address that a token to sign up was sent to.
	// Returns ErrNotFound if it is not good, or not any more.
	SignUpToken(ctx context.Context, tokenHash [32]byte) (email string, err error)

	// SignUpCheck returns what keeps an address from signing up at once: that
	// sign-ups begin with a mail (they do where mails are delivered, unless the
	// settings say otherwise), or else that there is an account with it.
	SignUpCheck(ctx context.Context, email string, delivered bool) (byMail, taken bool, err error)

	Settings(ctx context.Context) (platform.Settings, error)
}

func (s *Service) registerSignUp(r gin.IRouter) {
	r.GET("/auth/signup", s.signUpWay)
	r.POST("/auth/signup", s.signUp)
	r.POST("/auth/signup/mail", s.askToSignUp)
	r.POST("/auth/signup/confirm", s.signUpByMail)
}

// signUpWay tells which of the two ways to sign up is open.
func (s *Service) signUpWay(c *gin.Context) {
	byMail, err := s.byMail(c.Request.Context())
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	problem.WriteJSON(c.Writer, http.StatusOK, map[string]bool{"by_mail": byMail})
}

// byMail returns whether sign-ups begin with a mail.
func (s *Service) byMail(ctx context.Context) (bool, error) {
	set, err := s.Store.Settings(ctx)
	return set.SignUpsByMail(s.MailsDelivered), err
}

var (
	errOnlyByMail = platform.Errorf(platform.ErrForbidden, "A sign-up begins with a mail: ask for it at /auth/signup/mail.")
	errNotByMail  = platform.Errorf(platform.ErrForbidden, "A sign-up needs no mail: send address and password to /auth/signup.")
)

func (s *Service) signUp(c *gin.Context) {
	w, r := c.Writer, c.Request
	var in platform.Credentials
	err := problem.DecodeJSON(w, r, maxBody, &in)
	if err == nil {
		err = in.Validate()
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	// The hash is by far the dearest part: a taken address is turned away before
	// it, but not before its turn. Many who sign up together would otherwise all
	// ask the database at the same moment, and wait for each other there.
	// SignUp has the last word.
	var checked time.Duration
	began := time.Now()
	hash, err := s.Hasher.HashAfter(r.Context(), in.Password, func() error {
		turn := time.Now()
		err := s.checkFree(w, r, in.Email)
		checked = time.Since(turn)
		return err
	})
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	hashed := time.Since(began) - checked
	token, start := newSession(r)
	user, slice, err := s.Store.SignUp(r.Context(), in.Email, hash, start, request.Audit(r.Context(), "", "", ""))
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	s.MailQueued()
	if s.ServerTiming {
		w.Header().Set("Server-Timing", "hash;dur="+strconv.FormatFloat(float64(hashed)/float64(time.Millisecond), 'f', 3, 64))
	}
	s.signedUp(w, r, user, hash, slice, token, start)
}

// signedUp logs a new user in.
func (s *Service) signedUp(w http.ResponseWriter, r *http.Request, user platform.User, hash string, slice platform.Slice, token string, start platform.SessionStart) {
	result := "queued"
	if slice.Number != 0 {
		result = "hit"
	}
	s.Metrics.SignUps.WithLabelValues(result).Inc()
	request.From(r.Context()).UserID = user.ID
	s.endPrevious(r)
	setCookie(w, token, start.ExpiresAt)
	s.Devices.remember(w, r, user.Email, hash)
	s.answer(w, r, http.StatusCreated, &Identity{Session: start.TokenHash, User: user, Slice: slice})
}

// checkFree returns an ErrConflict if there is an account with this address. Who
// hears that often from one network is told nothing more for a while, of free
// addresses neither; who signs up new people is not slowed. Where sign-ups begin
// with a mail, an ErrForbidden is all.
func (s *Service) checkFree(w http.ResponseWriter, r *http.Request, email string) error {
	li := limit{"taken|" + network(request.From(r.Context()).ClientAddr), 20, 30 * time.Second}
	if err := s.take(w, li); err != nil {
		return err
	}
	s.limits.giveBack(li)
	byMail, taken, err := s.Store.SignUpCheck(r.Context(), email, s.MailsDelivered)
	switch {
	case err != nil:
		return err
	case byMail:
		return errOnlyByMail
	case !taken:
		return nil
	}
	s.limits.take(li)
	return platform.Errorf(platform.ErrConflict, "This e-mail address is taken. Log in instead.")
}

// askToSignUp does the same whether or not there is an account with the address.
func (s *Service) askToSignUp(c *gin.Context) {
	w, r := c.Writer, c.Request
	email, err := emailFrom(w, r)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	byMail, err := s.byMail(r.Context())
	if err == nil && !byMail {
		err = errNotByMail
	}
	if err == nil {
		err = s.mailTo(w, r, platform.MailSignUp, email)
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	accepted(w)
}

// signUpByMail ends what askToSignUp began.
func (s *Service) signUpByMail(c *gin.Context) {
	w, r := c.Writer, c.Request
	var in struct {
		Token    string `json:"token"`
		Password string `json:"password"`
	}
	tokenHash, err := tokenFrom(w, r, &in, &in.Token)
	var email string
	if err == nil {
		email, err = s.Store.SignUpToken(r.Context(), tokenHash)
	}
	if d := platform.PasswordFault(in.Password, email); err == nil && d != "" {
		err = platform.Invalid(platform.FieldError{Field: "password", Detail: d})
	}
	var hash string
	if err == nil {
		hash, err = s.Hasher.Hash(r.Context(), in.Password)
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	token, start := newSession(r)
	user, slice, err := s.Store.SignUpByMail(r.Context(), tokenHash, hash, start, request.Audit(r.Context(), "", "", ""))
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	s.signedUp(w, r, user, hash, slice, token, start)
}
