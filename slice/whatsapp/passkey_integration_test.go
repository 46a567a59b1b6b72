//go:build integration

package whatsapp

import (
	"errors"
	"testing"

	"ipnoelp.io/platform/whatsappsim"
)

// askPasskey has the page ask for a passkey, as WhatsApp Web would, and note
// what comes of it.
const askPasskey = `window.outcome = '';
navigator.credentials.get({publicKey: {challenge: new Uint8Array([1, 2, 255]), rpId: 'whatsapp.com', timeout: 60000,
	userVerification: 'required', allowCredentials: [{type: 'public-key', id: new Uint8Array([9, 8]).buffer}]}})
	.then((c) => { window.outcome = [c instanceof PublicKeyCredential, c.id, new Uint8Array(c.response.signature)].join(); },
		(e) => { window.outcome = e.name; });
true`

func (b *bundle) outcome() (s string) {
	b.t.Helper()
	if err := b.running().evaluate(b.t.Context(), evalTimeout,
		"new Promise((done) => { const look = () => window.outcome ? done(window.outcome) : setTimeout(look, 5); look(); })", &s); err != nil {
		b.t.Fatal(err)
	}
	return s
}

func TestPasskeyIsAskedForAndRelayed(t *testing.T) {
	t.Parallel()
	b := setup(t, whatsappsim.Config{})
	b.waitState(StateQR)
	if err := b.AnswerPasskey(t.Context(), Assertion{}); !errors.Is(err, ErrRefused) {
		t.Errorf("an answer that nobody asked for: %v, want ErrRefused", err)
	}
	ask := func() *Passkey {
		if err := b.running().evaluate(t.Context(), evalTimeout, askPasskey, nil); err != nil {
			t.Fatal(err)
		}
		s := b.waitState(StatePasskeyRequired)
		if s.Reason == "" || s.Passkey == nil || s.QR != nil {
			t.Fatalf("status %+v", s)
		}
		return s.Passkey
	}
	p := ask()
	if p.RPID != "whatsapp.com" || p.Challenge != "AQL_" || len(p.AllowCredentials) != 1 || p.AllowCredentials[0] != "CQg" || p.UserVerification != "required" {
		t.Errorf("passkey %+v", p)
	}
	if err := b.RefusePasskey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.outcome(); got != "NotAllowedError" {
		t.Errorf("the page got %s", got)
	}
	b.waitState(StateQR)
	ask()
	a := Assertion{ID: "CQg", Response: AssertionResponse{ClientDataJSON: "e30", AuthenticatorData: "AAAA", Signature: "BwcH"}}
	if err := b.AnswerPasskey(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if got := b.outcome(); got != "true,CQg,7,7,7" {
		t.Errorf("the page got %s", got)
	}
}
