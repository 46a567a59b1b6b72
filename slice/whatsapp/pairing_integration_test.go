//go:build integration

package whatsapp

import (
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"ipnoelp.io/platform/whatsappsim"
)

func TestPairingByCode(t *testing.T) {
	t.Parallel()
	b := setup(t, whatsappsim.Config{})
	b.waitState(StateQR)
	if _, err := b.sim.CreateAccount(t.Context(), phone, "Ana"); err != nil {
		t.Fatal(err)
	}
	s, err := b.RequestPairingCode(t.Context(), phone)
	if err != nil || s.State != StatePairingCode || s.PairingCode == nil || s.QR != nil || time.Until(s.PairingCode.ExpiresAt) > pairingLifetime {
		t.Fatalf("%+v, %v", s, err)
	}
	if again, err := b.RequestPairingCode(t.Context(), phone); err != nil || again.PairingCode.Code != s.PairingCode.Code {
		t.Errorf("asked again: %+v, %v", again.PairingCode, err)
	}
	if s, err = b.CancelPairingCode(t.Context()); err != nil || s.State == StatePairingCode {
		t.Errorf("cancelled: %+v, %v", s, err)
	}
	if s, err = b.RequestPairingCode(t.Context(), phone); err != nil || s.PairingCode == nil {
		t.Fatalf("%+v, %v", s, err)
	}
	if err := b.sim.TypeLinkCode(t.Context(), phone, s.PairingCode.Code); err != nil {
		t.Fatal(err)
	}
	b.waitState(StateReady)
	if _, err := b.RequestPairingCode(t.Context(), phone); !errors.Is(err, ErrRefused) {
		t.Errorf("while linked: %v, want ErrRefused", err)
	}
}

func TestPairingCodesFollowEachOtherAndThenTheQRCode(t *testing.T) {
	t.Parallel()
	b := setup(t, whatsappsim.Config{LinkCodeLifetime: 100 * time.Millisecond})
	b.waitState(StateQR)
	if _, err := b.sim.CreateAccount(t.Context(), phone, "Ana"); err != nil {
		t.Fatal(err)
	}
	first, err := b.RequestPairingCode(t.Context(), phone)
	if err != nil {
		t.Fatal(err)
	}
	b.waitStatus("another code", func(s Status) bool { return s.PairingCode != nil && s.PairingCode.Code != first.PairingCode.Code })
	if s := b.waitStatus("the QR code again", func(s Status) bool { return s.QR != nil }); s.State != StateQR || s.Reason != reasonPairingExpired {
		t.Errorf("status %+v", s)
	}
}

func TestQRCodeOnDemand(t *testing.T) {
	t.Parallel()
	b := setup(t, whatsappsim.Config{})
	first := b.waitState(StateQR).QR.Text
	deadline := time.Now().Add(patience)
	for { // one that just came is left
		s, err := b.Refresh(t.Context())
		if err != nil || s.QR == nil {
			t.Fatalf("%+v, %v", s, err)
		}
		if s.QR.Text != first {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the code is never replaced")
		}
		<-time.After(50 * time.Millisecond)
	}
	if _, err := b.RequestPairingCode(t.Context(), phone); err != nil {
		t.Fatal(err)
	}
	if s, err := b.Refresh(t.Context()); err != nil || s.State != StateQR || s.QR == nil {
		t.Errorf("after a pairing code: %+v, %v", s, err)
	}
}

func TestPasskeyLinksThroughTheRelay(t *testing.T) {
	t.Parallel()
	b := setup(t, whatsappsim.Config{})
	if _, err := b.sim.CreateAccount(t.Context(), phone, "Ana"); err != nil {
		t.Fatal(err)
	}
	if err := b.sim.Fault(t.Context(), phone, whatsappsim.FaultPasskeyRequired); err != nil {
		t.Fatal(err)
	}
	if err := b.sim.Scan(t.Context(), phone, b.waitState(StateQR).QR.Text); err != nil {
		t.Fatal(err)
	}
	p := b.waitState(StatePasskeyRequired).Passkey
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"type":"webauthn.get","challenge":"` + p.Challenge + `","origin":"https://web.whatsapp.com"}`))
	if err := b.AnswerPasskey(t.Context(), Assertion{ID: "aa", Response: AssertionResponse{ClientDataJSON: signed, AuthenticatorData: "aa", Signature: "aa"}}); err != nil {
		t.Fatal(err)
	}
	b.waitState(StateReady)
}
