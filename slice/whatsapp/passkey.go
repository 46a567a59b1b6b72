package whatsapp

import (
	"context"
	"regexp"
)

const reasonPasskey = "WhatsApp asks for the account's passkey before it links this device." //nolint:gosec // no credential

const (
	maxPasskeyID    = 2048 // characters of a credential's id
	maxPasskeyValue = 8192 // characters of any other value
	maxAllowed      = 64   // credentials
)

var base64URL = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// pagePasskey is the page's request for a passkey.
type pagePasskey struct {
	RPID             string   `json:"rp_id"`
	Challenge        string   `json:"challenge"`
	AllowCredentials []string `json:"allow_credentials"`
	UserVerification string   `json:"user_verification"`
	Expires          float64  `json:"expires"` // Unix milliseconds
}

func (p pagePasskey) passkey() *Passkey {
	r := &Passkey{
		RPID: cleanName(p.RPID), UserVerification: cleanName(p.UserVerification), AllowCredentials: []string{},
		ExpiresAt: pageTime(p.Expires),
	}
	if len(p.Challenge) <= maxPasskeyValue && base64URL.MatchString(p.Challenge) {
		r.Challenge = p.Challenge
	}
	for _, id := range p.AllowCredentials[:min(len(p.AllowCredentials), maxAllowed)] {
		if len(id) <= maxPasskeyID && base64URL.MatchString(id) {
			r.AllowCredentials = append(r.AllowCredentials, id)
		}
	}
	return r
}

// Assertion is the answer of an authenticator to a request for a passkey, in the
// JSON form of WebAuthn's PublicKeyCredential.
type Assertion struct {
	ID                      string            `json:"id"`
	AuthenticatorAttachment string            `json:"authenticatorAttachment"`
	Response                AssertionResponse `json:"response"`

	// The rest of that form is of no use here: it repeats the id or is constant.
	RawID      string         `json:"rawId"`
	Type       string         `json:"type"`
	Extensions map[string]any `json:"clientExtensionResults"`
}

// AssertionResponse holds what was signed and the signature, as base64url.
type AssertionResponse struct {
	ClientDataJSON    string `json:"clientDataJSON"`
	AuthenticatorData string `json:"authenticatorData"`
	Signature         string `json:"signature"`
	UserHandle        string `json:"userHandle"` // "" without
}

// Faults returns the names of the fields that are not base64url without padding.
func (a Assertion) Faults() (fields []string) {
	for _, f := range []struct {
		name, value string
		optional    bool
	}{
		{"id", a.ID, false},
		{"response.clientDataJSON", a.Response.ClientDataJSON, false},
		{"response.authenticatorData", a.Response.AuthenticatorData, false},
		{"response.signature", a.Response.Signature, false},
		{"response.userHandle", a.Response.UserHandle, true},
	} {
		if f.optional && f.value == "" {
			continue
		}
		if len(f.value) > maxPasskeyValue || !base64URL.MatchString(f.value) {
			fields = append(fields, f.name)
		}
	}
	return fields
}

// AnswerPasskey hands the page the assertion that it asked for. ErrRefused when
// it does not ask.
func (e *Engine) AnswerPasskey(ctx context.Context, a Assertion) error {
	b, err := e.unlinked()
	if err != nil {
		return err
	}
	return b.call(ctx, evalTimeout, nil, "answerPasskey", a)
}

// RefusePasskey tells the page that there is no passkey, as a person does who
// closes the browser's dialogue. Another way to link may follow.
func (e *Engine) RefusePasskey(ctx context.Context) error {
	b, err := e.unlinked()
	if err != nil {
		return err
	}
	return b.call(ctx, evalTimeout, nil, "refusePasskey")
}
