package auth

import (
	"encoding/hex"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

func (s *Service) registerPassword(r gin.IRouter) {
	// Recent too, not with the password alone: of who has a second factor it is not enough.
	r.POST("/auth/password", RequireRecent(s.Sessions), s.changePassword)
	r.POST("/auth/password/reset", s.askForReset)
	r.POST("/auth/password/reset/confirm", s.resetPassword)
	r.POST("/auth/reauthenticate", s.reauthenticate)
}

// checkPassword asks for the password of somebody who is logged in, and returns
// its hash. Guessing is slow for each session: who has a stolen one does not
// shut the owner out.
func (s *Service) checkPassword(w http.ResponseWriter, r *http.Request, id *Identity, field, password string) (string, error) {
	li := limit{"password|" + hex.EncodeToString(id.Session[:]), 10, 30 * time.Second}
	if err := s.take(w, li); err != nil {
		return "", err
	}
	hash, err := s.Store.PasswordHash(r.Context(), id.User.ID)
	if err != nil {
		return "", err
	}
	match, err := s.Hasher.Verify(r.Context(), password, hash)
	if err != nil {
		return "", err
	}
	if !match {
		return "", platform.Invalid(platform.FieldError{Field: field, Detail: "is not your password"})
	}
	s.limits.giveBack(li)
	return hash, nil
}

func (s *Service) changePassword(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	var in struct {
		Current string `json:"current_password"`
		New     string `json:"new_password"`
	}
	if err := problem.DecodeJSON(w, r, maxBody, &in); err != nil {
		request.Fail(w, r, err)
		return
	}
	var fields []platform.FieldError
	if in.Current == "" {
		fields = append(fields, platform.FieldError{Field: "current_password", Detail: "is required"})
	}
	if d := platform.PasswordFault(in.New, id.User.Email); d != "" {
		fields = append(fields, platform.FieldError{Field: "new_password", Detail: d})
	} else if in.New == in.Current {
		fields = append(fields, platform.FieldError{Field: "new_password", Detail: "must be another than the current one"})
	}
	if fields != nil {
		request.Fail(w, r, platform.Invalid(fields...))
		return
	}
	before, err := s.checkPassword(w, r, id, "current_password", in.Current)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	after, err := s.Hasher.Hash(r.Context(), in.New)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	token, rotated := newToken()
	by := request.Audit(r.Context(), "", "", "")
	err = s.Store.ChangePassword(r.Context(), id.User.ID, before, after, id.Session, rotated, by)
	if platform.CodeOf(err) == platform.ErrNotFound {
		err = errNoSession // it ended meanwhile
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	s.MailQueued()
	s.Sessions.InvalidateUser(id.User.ID)
	s.rotated(w, id, token)
	s.Devices.remember(w, r, id.User.Email, after)
	noContent(w)
}

// rotated says that a session has another token.
func (s *Service) rotated(w http.ResponseWriter, id *Identity, token string) {
	s.SessionEnded(id.Session) // its sockets connect again, with the new token
	setCookie(w, token, id.EndsAt)
}

func newToken() (token string, hash [32]byte) {
	token = platform.NewSessionToken()
	hash, _ = platform.HashSessionToken(token)
	return token, hash
}

// askForReset does the same whether or not there is such an account.
func (s *Service) askForReset(c *gin.Context) {
	w, r := c.Writer, c.Request
	email, err := emailFrom(w, r)
	if err == nil {
		err = s.mailTo(w, r, platform.MailResetPassword, email)
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	accepted(w)
}

// emailFrom reads a body that is an address.
func emailFrom(w http.ResponseWriter, r *http.Request) (string, error) {
	var in struct {
		Email string `json:"email"`
	}
	if err := problem.DecodeJSON(w, r, maxBody, &in); err != nil {
		return "", err
	}
	email := platform.NormalizeEmail(in.Email)
	if d := platform.EmailFault(email); d != "" {
		return "", platform.Invalid(platform.FieldError{Field: "email", Detail: d})
	}
	return email, nil
}

// mailTo has somebody written to who is not logged in. Who got enough of a kind
// gets no more, and nobody else is told.
func (s *Service) mailTo(w http.ResponseWriter, r *http.Request, kind platform.MailKind, email string) error {
	if err := s.take(w, limit{string(kind) + " from|" + network(request.From(r.Context()).ClientAddr), 20, 30 * time.Second}); err != nil {
		return err
	}
	if s.limits.take(mailsToOne(kind, email)) > 0 {
		return nil
	}
	if err := s.Store.QueueMail(r.Context(), kind, "", email); err != nil {
		return err
	}
	s.MailQueued()
	return nil
}

func (s *Service) resetPassword(c *gin.Context) {
	w, r := c.Writer, c.Request
	var in struct {
		Token    string `json:"token"`
		Password string `json:"password"`
	}
	hash, err := tokenFrom(w, r, &in, &in.Token)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	// Before the hash, which is dear: is the token good at all?
	t, err := s.Store.AccountToken(r.Context(), hash)
	if err == nil && t.Purpose != platform.MailResetPassword {
		err = errBadToken
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	if d := platform.PasswordFault(in.Password, t.User.Email); d != "" {
		request.Fail(w, r, platform.Invalid(platform.FieldError{Field: "password", Detail: d}))
		return
	}
	encoded, err := s.Hasher.Hash(r.Context(), in.Password)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	user, err := s.Store.ResetPassword(r.Context(), hash, encoded, request.Audit(r.Context(), "", "", ""))
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	request.From(r.Context()).UserID = user.ID
	s.Sessions.InvalidateUser(user.ID)
	s.MailQueued()
	s.Devices.remember(w, r, user.Email, encoded)
	noContent(w)
}

func (s *Service) reauthenticate(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	var in struct {
		Password string `json:"password"`
		Code     string `json:"code"` // for who has a second factor
	}
	if err := problem.DecodeJSON(w, r, maxBody, &in); err != nil {
		request.Fail(w, r, err)
		return
	}
	if in.Password == "" {
		request.Fail(w, r, platform.Invalid(platform.FieldError{Field: "password", Detail: "is required"}))
		return
	}
	hash, err := s.checkPassword(w, r, id, "password", in.Password)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	method, err := s.checkSecondFactor(w, r, id.User, hash, in.Code)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	s.reauthenticated(w, r, id, method)
}

// reauthenticated ends a reauthentication: the user has proved who they are.
func (s *Service) reauthenticated(w http.ResponseWriter, r *http.Request, id *Identity, method platform.LogInMethod) {
	token, rotated := newToken()
	err := s.Store.Reauthenticated(r.Context(), id.User.ID, id.Session, rotated, method, request.Audit(r.Context(), "", "", ""))
	if platform.CodeOf(err) == platform.ErrNotFound {
		err = errNoSession // it ended meanwhile
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	s.rotated(w, id, token)
	noContent(w)
}

// checkSecondFactor asks for a code where the user has a second factor, and
// returns what they proved who they are with: they gave the password before.
func (s *Service) checkSecondFactor(w http.ResponseWriter, r *http.Request, user platform.User, passwordHash, code string) (platform.LogInMethod, error) {
	f, err := s.Store.SecondFactor(r.Context(), user.ID)
	if err != nil || f.Secret == nil {
		return platform.LogInByPassword, err
	}
	if code == "" {
		return "", platform.Invalid(platform.FieldError{Field: "code", Detail: "is required"})
	}
	forget, err := s.takeCode(w, r, user, passwordHash)
	if err != nil {
		return "", err
	}
	ok, err := s.checkCode(r, user, f, code)
	if err == nil && !ok {
		err = errWrongCode
	}
	if err != nil {
		return "", err
	}
	forget()
	return platform.LogInByPasswordAndCode, nil
}

func noContent(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}
