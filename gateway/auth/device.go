package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"
)

const (
	// deviceCookie is sent to /auth/ only: slices never see it.
	deviceCookie   = "__Secure-device"
	deviceLifetime = 400 * 24 * time.Hour // the most that browsers grant
	deviceNonce    = 16                   // bytes
)

// Devices knows browsers that somebody logged in from, by a cookie that only
// the gateway can make. It gives no access: it has attempts to log in of its
// own, that is all.
type Devices struct{ key []byte }

// NewDevices returns devices known by a key of their own, derived from the
// platform's.
func NewDevices(platformKey []byte) *Devices {
	m := hmac.New(sha256.New, platformKey)
	m.Write([]byte("gateway/device cookie"))
	return &Devices{key: m.Sum(nil)}
}

// remember makes the browser known for an account.
func (d *Devices) remember(w http.ResponseWriter, r *http.Request, email string) {
	if _, ok := d.known(r, email); ok {
		return
	}
	var nonce [deviceNonce]byte
	rand.Read(nonce[:])
	http.SetCookie(w, &http.Cookie{
		Name: deviceCookie, Value: base64.RawURLEncoding.EncodeToString(append(nonce[:], d.sign(nonce[:], email)...)),
		Path: "/auth/", MaxAge: int(deviceLifetime.Seconds()), HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode,
	})
}

// known returns a name for the browser if it logged in to this account before.
func (d *Devices) known(r *http.Request, email string) (name string, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cookieValue(r, deviceCookie))
	if err != nil || len(b) != deviceNonce+sha256.Size {
		return "", false
	}
	return string(b[:deviceNonce]), hmac.Equal(b[deviceNonce:], d.sign(b[:deviceNonce], email))
}

func (d *Devices) sign(nonce []byte, email string) []byte {
	m := hmac.New(sha256.New, d.key)
	m.Write(nonce) // of one length: what follows is the address
	m.Write([]byte(email))
	return m.Sum(nil)
}
