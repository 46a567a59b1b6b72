package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
)

// sealer encrypts small things with a key for one purpose, derived from the
// platform's.
type sealer struct{ aead cipher.AEAD }

func newSealer(platformKey []byte, purpose string) sealer {
	m := hmac.New(sha256.New, platformKey)
	m.Write([]byte("gateway/" + purpose))
	block, err := aes.NewCipher(m.Sum(nil))
	if err != nil {
		panic(err) // the key has the right length
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return sealer{aead}
}

// seal binds the text to what it belongs to: it opens nowhere else.
func (s sealer) seal(text []byte, belongsTo string) []byte {
	nonce := make([]byte, s.aead.NonceSize())
	rand.Read(nonce)
	return s.aead.Seal(nonce, nonce, text, []byte(belongsTo))
}

var errSealed = errors.New("what was sealed cannot be opened")

func (s sealer) open(sealed []byte, belongsTo string) ([]byte, error) {
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return nil, errSealed
	}
	text, err := s.aead.Open(nil, sealed[:n], sealed[n:], []byte(belongsTo))
	if err != nil {
		return nil, errSealed
	}
	return text, nil
}
