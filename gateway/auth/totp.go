package auth

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

const (
	codePeriod    = 30 // seconds; with six digits, what every authenticator app has
	recoveryCodes = 10
	maxCode       = 40 // characters of a code of either kind
)

// SecondFactorStore keeps second factors.
type SecondFactorStore interface {
	// SecondFactor returns what a user has beside the password; the zero value
	// for nothing.
	SecondFactor(ctx context.Context, userID string) (platform.SecondFactor, error)

	// OfferSecondFactor stores a secret that comes into force with its first
	// code. Returns ErrConflict if one is in force.
	OfferSecondFactor(ctx context.Context, userID string, pending []byte) error

	// EnableSecondFactor puts the offered secret into force. Returns ErrConflict
	// if another was offered meanwhile, and ErrUnauthenticated if the session that
	// asks ended.
	EnableSecondFactor(ctx context.Context, userID string, session [32]byte, pending []byte, step int64, codes [][32]byte, by platform.AuditEntry) error

	// DisableSecondFactor and ReplaceRecoveryCodes return ErrNotFound if there
	// is no second factor in force, and ErrUnauthenticated if the session ended.
	DisableSecondFactor(ctx context.Context, userID string, session [32]byte, by platform.AuditEntry) error
	ReplaceRecoveryCodes(ctx context.Context, userID string, session [32]byte, codes [][32]byte, by platform.AuditEntry) error

	// UseCodeStep reports whether no code of this time step, or a later one,
	// was used before; from now on it was.
	UseCodeStep(ctx context.Context, userID string, step int64) (bool, error)

	// UseRecoveryCode reports whether the user had this code; it is used up.
	UseRecoveryCode(ctx context.Context, userID string, hash [32]byte, by platform.AuditEntry) (bool, error)
}

func (s *Service) registerTOTP(r gin.IRouter) {
	recent := RequireRecent(s.Sessions)
	r.POST("/auth/login/code", s.logInCode)
	r.GET("/auth/totp", s.secondFactor)
	r.POST("/auth/totp", recent, s.offerTOTP)
	r.POST("/auth/totp/confirm", recent, s.enableTOTP)
	r.POST("/auth/totp/recovery-codes", recent, s.replaceCodes)
	r.DELETE("/auth/totp", recent, s.disableTOTP)
}

// checkCode reports whether a code of either kind is good; then it is used up.
func (s *Service) checkCode(r *http.Request, user platform.User, f platform.SecondFactor, code string) (bool, error) {
	code = strings.TrimSpace(code)
	if len(code) > 6 && len(code) <= maxCode {
		by := request.Audit(r.Context(), "", "", "")
		by.ActorID = user.ID
		return s.Store.UseRecoveryCode(r.Context(), user.ID, platform.HashRecoveryCode(code), by)
	}
	step, ok, err := s.stepOf(f.Secret, user.ID, code)
	if err != nil || !ok {
		return false, err
	}
	return s.Store.UseCodeStep(r.Context(), user.ID, step)
}

// stepOf returns the time step that a code is of: now's, or the one before or
// after it, since clocks differ.
func (s *Service) stepOf(sealed []byte, userID, code string) (step int64, ok bool, err error) {
	secret, err := s.secrets.open(sealed, userID)
	if err != nil {
		return 0, false, fmt.Errorf("second factor of user %s: %w", userID, err)
	}
	now := s.limits.now().Unix() / codePeriod
	for _, step := range []int64{now, now - 1, now + 1} {
		match, err := hotp.ValidateCustom(code, uint64(step), string(secret), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err == nil && match { // an error: the code is malformed
			return step, true, nil
		}
	}
	return 0, false, nil
}

// codeLimits bound guessing of codes by somebody who has the password. As with
// passwords, a browser that logged in before has attempts of its own: whoever
// guesses elsewhere does not shut its owner out. Such browsers share a bound too: of
// before there was a second factor, somebody may have made as many as they liked.
// Another password makes them strangers.
func (s *Service) codeLimits(r *http.Request, user platform.User, passwordHash string) []limit {
	if c, ok := s.Devices.read(r, user.Email); ok && s.Devices.current(c, user.Email, passwordHash) {
		return []limit{
			{"code and device|" + user.ID + "|" + c.name, 5, time.Minute},
			{"code and devices|" + user.ID, 20, time.Minute},
		}
	}
	return []limit{
		{"code and address|" + user.ID + "|" + network(request.From(r.Context()).ClientAddr), 5, time.Minute},
		{"code|" + user.ID, 20, time.Minute},
	}
}

// takeCode uses up one attempt at a code, and returns what forgets it.
func (s *Service) takeCode(w http.ResponseWriter, r *http.Request, user platform.User, passwordHash string) (forget func(), err error) {
	limits := s.codeLimits(r, user, passwordHash)
	return func() { s.limits.forget(limits...) }, s.take(w, limits...)
}

type secondFactorState struct {
	Enabled       bool `json:"enabled"`
	RecoveryCodes int  `json:"recovery_codes"` // that are left
}

func (s *Service) secondFactor(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	f, err := s.Store.SecondFactor(r.Context(), id.User.ID)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	problem.WriteJSON(w, http.StatusOK, secondFactorState{Enabled: f.Secret != nil, RecoveryCodes: f.RecoveryCodes})
}

func (s *Service) offerTOTP(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: s.Issuer, AccountName: id.User.Email, Period: codePeriod})
	if err == nil {
		err = s.Store.OfferSecondFactor(r.Context(), id.User.ID, s.secrets.seal([]byte(key.Secret()), id.User.ID))
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	problem.WriteJSON(w, http.StatusOK, map[string]string{"secret": key.Secret(), "uri": key.URL()})
}

func (s *Service) enableTOTP(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	code, err := codeFrom(w, r)
	var hash string
	if err == nil {
		hash, err = s.Store.PasswordHash(r.Context(), id.User.ID)
	}
	var forget func()
	if err == nil {
		forget, err = s.takeCode(w, r, id.User, hash)
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	f, err := s.Store.SecondFactor(r.Context(), id.User.ID)
	if err == nil && f.Pending == nil {
		err = platform.Errorf(platform.ErrConflict, "Ask for a secret first.")
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	step, ok, err := s.stepOf(f.Pending, id.User.ID, code)
	if err == nil && !ok {
		err = errWrongCode
	}
	codes, hashes := newRecoveryCodes()
	if err == nil {
		err = s.Store.EnableSecondFactor(r.Context(), id.User.ID, id.Session, f.Pending, step, hashes, request.Audit(r.Context(), "", "", ""))
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	forget()
	problem.WriteJSON(w, http.StatusOK, map[string][]string{"recovery_codes": codes})
}

var errWrongCode = platform.Invalid(platform.FieldError{Field: "code", Detail: "is wrong, too old, or was used before"})

func newRecoveryCodes() (codes []string, hashes [][32]byte) {
	for range recoveryCodes {
		code := platform.NewRecoveryCode()
		codes = append(codes, code)
		hashes = append(hashes, platform.HashRecoveryCode(code))
	}
	return codes, hashes
}

func (s *Service) replaceCodes(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	codes, hashes := newRecoveryCodes()
	if err == nil {
		err = s.Store.ReplaceRecoveryCodes(r.Context(), id.User.ID, id.Session, hashes, request.Audit(r.Context(), "", "", ""))
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	problem.WriteJSON(w, http.StatusOK, map[string][]string{"recovery_codes": codes})
}

func (s *Service) disableTOTP(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	if err == nil {
		err = s.Store.DisableSecondFactor(r.Context(), id.User.ID, id.Session, request.Audit(r.Context(), "", "", ""))
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	noContent(w)
}

func codeFrom(w http.ResponseWriter, r *http.Request) (string, error) {
	var in struct {
		Code string `json:"code"`
	}
	if err := problem.DecodeJSON(w, r, maxBody, &in); err != nil {
		return "", err
	}
	if in.Code == "" {
		return "", platform.Invalid(platform.FieldError{Field: "code", Detail: "is required"})
	}
	return in.Code, nil
}
