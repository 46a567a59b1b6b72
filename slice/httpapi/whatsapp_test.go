package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ipnoelp.io/platform/docs/openapi/openapitest"
	"ipnoelp.io/platform/slice/whatsapp"
)

var doc = openapitest.Slice()

func TestMain(m *testing.M) { doc.Main(m, sessionPath, "!"+sessionPath+"/history") }

// viewers is nobody.
type viewers struct{}

func (viewers) AddViewer() func()                    { return func() {} }
func (viewers) Look(context.Context) whatsapp.Status { return whatsapp.Status{} }

// link is a session that notes what it is asked.
type link struct {
	note   func(string)
	err    error
	status whatsapp.Status
	stats  whatsapp.Stats
}

func (l *link) ask(what string) (whatsapp.Status, error) { l.note(what); return l.status, l.err }

func (l *link) Look(context.Context) whatsapp.Status { s, _ := l.ask("status"); return s }
func (l *link) Refresh(context.Context) (whatsapp.Status, error) {
	return l.ask("refresh")
}
func (l *link) RequestPairingCode(_ context.Context, phone string) (whatsapp.Status, error) {
	return l.ask("pair " + phone)
}
func (l *link) CancelPairingCode(context.Context) (whatsapp.Status, error) { return l.ask("cancel") }
func (l *link) AnswerPasskey(_ context.Context, a whatsapp.Assertion) error {
	_, err := l.ask("passkey " + a.ID)
	return err
}
func (l *link) RefusePasskey(context.Context) error { _, err := l.ask("no passkey"); return err }
func (l *link) Logout(context.Context) error        { _, err := l.ask("logout"); return err }

func (l *link) Stats() whatsapp.Stats { return l.stats }

// direct answers requests without a network.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

const credential = `{"credential": {"id": "a-_1", "rawId": "a-_1", "type": "public-key", "clientExtensionResults": {},
	"response": {"clientDataJSON": "aa", "authenticatorData": "bb", "signature": "cc", "userHandle": null}}}`

func TestSessionRoutes(t *testing.T) {
	t.Parallel()
	crm, handler, _ := setup(t)
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	client := doc.Client(t, direct{handler})
	for _, tc := range []struct {
		method, path, body string
		status             whatsapp.Status
		code               int
		call               string
	}{
		{"GET", "", "", whatsapp.Status{State: whatsapp.StateQR, QR: &whatsapp.QR{Text: "2@x", Image: "data:image/png;base64,", ExpiresAt: now}, Since: now}, 200, "status"},
		{"POST", "/refresh", "", whatsapp.Status{State: whatsapp.StateReady, Account: &whatsapp.Account{ID: "1@c.us"}, Since: now}, 200, "refresh"},
		{"POST", "/pairing-code", `{"phone": "+49 (151) 1234-5678"}`, whatsapp.Status{State: whatsapp.StatePairingCode,
			PairingCode: &whatsapp.PairingCode{Code: "ABCD1234", ExpiresAt: now}, Since: now}, 200, "pair 4915112345678"},
		{"DELETE", "/pairing-code", "", whatsapp.Status{State: whatsapp.StatePasskeyRequired, Reason: "x", Since: now,
			Passkey: &whatsapp.Passkey{RPID: "whatsapp.com", AllowCredentials: []string{}, ExpiresAt: now}}, 200, "cancel"},
		{"POST", "/passkey", credential, whatsapp.Status{}, 204, "passkey a-_1"},
		{"DELETE", "/passkey", "", whatsapp.Status{}, 204, "no passkey"},
		{"POST", "/logout", "", whatsapp.Status{}, 204, "logout"},
	} {
		crm.calls, crm.link.status = nil, tc.status
		r := newRequest(tc.method, "http://slice"+sessionPath+tc.path, tc.body)
		r.RequestURI = ""
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != tc.code || strings.Join(crm.calls, ",") != tc.call {
			t.Errorf("%s %s: %d, asked for %q; want %d, %q", tc.method, tc.path, res.StatusCode, crm.calls, tc.code, tc.call)
		}
	}
}

func TestSessionRefusesBadInput(t *testing.T) {
	t.Parallel()
	crm, handler, _ := setup(t)
	client := doc.Client(t, direct{handler})
	for _, tc := range []struct{ path, body, says string }{
		{"/pairing-code", `{}`, "phone"},
		{"/pairing-code", `{"phone": null}`, "phone"},
		{"/pairing-code", `{"phone": "0151 12345678"}`, "phone"},
		{"/pairing-code", `{"phone": "123"}`, "phone"},
		{"/pairing-code", `{"phone": "+49151<script>"}`, "phone"},
		{"/pairing-code", `{"phone": "` + strings.Repeat("1 ", 50) + `"}`, "phone"},
		{"/pairing-code", `{"phone": 4915112345678}`, ""},
		{"/pairing-code", `{"phone": "+4915112345678", "x": 1}`, ""},
		{"/pairing-code", `[`, ""},
		{"/passkey", `{}`, "credential"},
		{"/passkey", `{"credential": {}}`, "credential.response.signature"},
		{"/passkey", strings.Replace(credential, "bb", "b b=", 1), "credential.response.authenticatorData"},
		{"/passkey", strings.Replace(credential, "null", `"<>"`, 1), "credential.response.userHandle"},
	} {
		r := newRequest("POST", "http://slice"+sessionPath+tc.path, tc.body)
		r.RequestURI = ""
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		_ = res.Write(&text)
		res.Body.Close()
		if res.StatusCode != http.StatusBadRequest || !strings.Contains(text.String(), tc.says) {
			t.Errorf("%s %s: %s", tc.path, tc.body, text.String())
		}
	}
	if crm.calls != nil {
		t.Errorf("asked for %q", crm.calls)
	}
}

func TestSessionErrorsHaveTheirCode(t *testing.T) {
	t.Parallel()
	crm, handler, _ := setup(t)
	client := doc.Client(t, direct{handler})
	for _, tc := range []struct {
		err  error
		code int
	}{
		{fmt.Errorf("x: %w", whatsapp.ErrNotReady), http.StatusServiceUnavailable},
		{fmt.Errorf("x: %w", whatsapp.ErrRefused), http.StatusConflict},
		{errors.New("script: secret"), http.StatusBadGateway},
	} {
		for _, path := range []string{"/refresh", "/pairing-code", "/passkey", "/logout"} {
			crm.link.err = tc.err
			body := map[string]string{"/pairing-code": `{"phone": "+4915112345678"}`, "/passkey": credential}[path]
			r := newRequest("POST", "http://slice"+sessionPath+path, body)
			r.RequestURI = ""
			res, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			_ = res.Write(&text)
			res.Body.Close()
			if res.StatusCode != tc.code || strings.Contains(text.String(), "secret") {
				t.Errorf("%s after %v: %s", path, tc.err, text.String())
			}
		}
	}
}
