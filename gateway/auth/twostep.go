package auth

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
)

const (
	// halfWayCookie tells that the password was right. It is sent to /auth/ only.
	halfWayCookie   = "__Secure-login"
	halfWayLifetime = 5 * time.Minute
)

// halfWay is somebody who gave the right password and owes a code. It is in the
// cookie, sealed: gateways share it without a row.
type halfWay struct {
	Email    string    `json:"email"`
	Password []byte    `json:"password"` // fingerprint of the hash: another password ends this
	Until    time.Time `json:"until"`
}

func fingerprint(hash string) []byte {
	sum := sha256.Sum256([]byte(hash))
	return sum[:]
}

var errSecondFactor = platform.Errorf(platform.ErrSecondFactor, "Enter the code from your authenticator app, or a recovery code.")

// askForCode reports whether the user has a second factor; then the answer asks
// for it and the log-in goes on at /auth/login/code.
func (s *Service) askForCode(w http.ResponseWriter, r *http.Request, user platform.User, hash string) (bool, error) {
	f, err := s.Store.SecondFactor(r.Context(), user.ID)
	if err != nil || f.Secret == nil {
		return false, err
	}
	b, err := json.Marshal(halfWay{Email: user.Email, Password: fingerprint(hash), Until: s.limits.now().Add(halfWayLifetime)})
	if err != nil {
		return false, err
	}
	http.SetCookie(w, &http.Cookie{
		Name: halfWayCookie, Value: base64.RawURLEncoding.EncodeToString(s.logIns.seal(b, halfWayCookie)), Path: "/auth/",
		MaxAge: int(halfWayLifetime.Seconds()), HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode,
	})
	return true, errSecondFactor
}

var errBeginAgain = platform.Errorf(platform.ErrUnauthenticated, "The log-in took too long. Begin again with your password.")

// halfWayThere returns who gave the right password a short time ago, and its hash.
func (s *Service) halfWayThere(r *http.Request) (platform.User, string, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(cookieValue(r, halfWayCookie))
	if err != nil {
		return platform.User{}, "", errBeginAgain
	}
	b, err := s.logIns.open(sealed, halfWayCookie)
	var h halfWay
	if err != nil || json.Unmarshal(b, &h) != nil || !s.limits.now().Before(h.Until) {
		return platform.User{}, "", errBeginAgain
	}
	user, hash, err := s.Store.UserByEmail(r.Context(), h.Email)
	switch {
	case platform.CodeOf(err) == platform.ErrNotFound, err == nil && string(fingerprint(hash)) != string(h.Password):
		return platform.User{}, "", errBeginAgain
	case err != nil:
		return platform.User{}, "", err
	case user.Blocked:
		return platform.User{}, "", ErrBlocked
	}
	return user, hash, nil
}

// logInCode is the second step.
func (s *Service) logInCode(c *gin.Context) {
	w, r := c.Writer, c.Request
	code, err := codeFrom(w, r)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	user, hash, err := s.halfWayThere(r)
	var forget func()
	if err == nil {
		forget, err = s.takeCode(w, r, user, hash)
	}
	var f platform.SecondFactor
	if err == nil {
		f, err = s.Store.SecondFactor(r.Context(), user.ID)
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	if f.Secret != nil { // else it was removed meanwhile
		ok, err := s.checkCode(r, user, f, code)
		if err == nil && !ok {
			s.Metrics.LogIns.WithLabelValues("wrong").Inc()
			err = errWrongCode
		}
		if err != nil {
			request.Fail(w, r, err)
			return
		}
	}
	forget()
	http.SetCookie(w, &http.Cookie{Name: halfWayCookie, Path: "/auth/", MaxAge: -1, HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode})
	s.beginSession(w, r, user, platform.SessionStart{Method: platform.LogInByPasswordAndCode, Password: hash})
}
