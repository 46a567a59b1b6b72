package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"time"

	"ipnoelp.io/platform"
)

const (
	// deviceCookie is sent to /auth/ only: slices never see it.
	deviceCookie   = "__Secure-device"
	deviceLifetime = 400 * 24 * time.Hour // the most that browsers grant
	deviceNonce    = 16                   // bytes
)

// Devices knows browsers that somebody logged in from, by a cookie that only
// the gateway can make. It gives no access: it has attempts to log in of its
// own, that is all. It is worth nothing once the password is another: whoever
// knew the old one is a stranger then.
type Devices struct{ key []byte }

// NewDevices returns devices known by a key of their own, derived from the
// platform's.
func NewDevices(platformKey []byte) *Devices {
	m := hmac.New(sha256.New, platformKey)
	m.Write([]byte("gateway/device cookie"))
	return &Devices{key: m.Sum(nil)}
}

// remember makes the browser known for an account, whose password has this hash.
func (d *Devices) remember(w http.ResponseWriter, r *http.Request, email, passwordHash string) {
	if c, ok := d.read(r, email); ok && d.current(c, email, passwordHash) {
		return
	}
	nonce := make([]byte, deviceNonce)
	rand.Read(nonce)
	value := slices.Concat(nonce, d.sign(nonce, email, ""), d.sign(nonce, email, passwordHash))
	http.SetCookie(w, &http.Cookie{
		Name: deviceCookie, Value: base64.RawURLEncoding.EncodeToString(value),
		Path: "/auth/", MaxAge: int(deviceLifetime.Seconds()), HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode,
	})
}

// device is what a browser's cookie holds.
type device struct {
	name     string // tells browsers apart
	password []byte // signature of the password that was given there
}

// read returns the browser's cookie if we made it for this account. Whether the
// password is still the same, current tells.
func (d *Devices) read(r *http.Request, email string) (c device, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cookieValue(r, deviceCookie))
	if err != nil || len(b) != deviceNonce+2*sha256.Size {
		return device{}, false
	}
	nonce, account, password := b[:deviceNonce], b[deviceNonce:deviceNonce+sha256.Size], b[deviceNonce+sha256.Size:]
	return device{string(nonce), password}, hmac.Equal(account, d.sign(nonce, email, ""))
}

func (d *Devices) current(c device, email, passwordHash string) bool {
	return hmac.Equal(c.password, d.sign([]byte(c.name), email, passwordHash))
}

func (d *Devices) sign(nonce []byte, email, passwordHash string) []byte {
	m := hmac.New(sha256.New, d.key)
	m.Write(nonce) // of one length
	m.Write([]byte(email))
	m.Write([]byte{0}) // in no address
	m.Write([]byte(passwordHash))
	return m.Sum(nil)
}

// knownDevice returns a name for the browser if it logged in to this account
// before, with the password of now. Nobody else's cookie has the database asked.
func (s *Service) knownDevice(r *http.Request, email string) (name string, err error) {
	c, ok := s.Devices.read(r, email)
	if !ok {
		return "", nil
	}
	switch _, hash, err := s.Store.UserByEmail(r.Context(), email); {
	case platform.CodeOf(err) == platform.ErrNotFound:
		return "", nil
	case err != nil:
		return "", err
	case !s.Devices.current(c, email, hash):
		return "", nil
	}
	return c.name, nil
}

// rememberDevice makes the browser of somebody who logged in known; hash is "" if
// they gave no password. What cannot be told now, the next log-in tells.
func (s *Service) rememberDevice(w http.ResponseWriter, r *http.Request, user platform.User, hash string) {
	if hash == "" {
		var err error
		if hash, err = s.Store.PasswordHash(r.Context(), user.ID); err != nil {
			s.Log.Warn("the browser is not remembered", "error", err)
			return
		}
	}
	s.Devices.remember(w, r, user.Email, hash)
}
