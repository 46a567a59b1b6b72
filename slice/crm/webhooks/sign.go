package webhooks

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Headers of a request to a webhook.
const (
	HeaderID        = "X-Webhook-Id"        // of the delivery; the same at every attempt
	HeaderEvent     = "X-Webhook-Event"     // its name
	HeaderAttempt   = "X-Webhook-Attempt"   // from 1
	HeaderSignature = "X-Webhook-Signature" // t=<Unix seconds>,v1=<hex>; see Sign
)

// newSecret makes the key of a webhook's signatures.
func newSecret() string { return "whsec_" + rand.Text() + rand.Text() }

// Sign returns the signature of a body at a time: HMAC-SHA256 over the Unix time
// in decimal, a dot, and the body. The key is the secret as the user sees it.
func Sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// body is what a receiver gets.
func (d due) body() ([]byte, error) {
	b, err := json.Marshal(struct {
		ID        string          `json:"id"`
		Event     string          `json:"event"`
		CreatedAt time.Time       `json:"created_at"`
		Data      json.RawMessage `json:"data"`
	}{strconv.FormatInt(d.id, 10), d.event, d.createdAt.UTC(), d.payload})
	if err != nil {
		return nil, fmt.Errorf("delivery %d: %w", d.id, err)
	}
	return b, nil
}
