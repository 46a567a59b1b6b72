//go:build integration

package main

import (
	"fmt"
	"testing"

	"ipnoelp.io/platform/gateway/auth/passkeytest"
)

// A ceremony begins on one gateway and ends on the other; it ends once.
func TestPasskeysAcrossGateways(t *testing.T) {
	b := setup(t)
	one, two := b.start(t), b.start(t)
	device := passkeytest.Authenticator{Origin: "https://app.example.com"}
	session, _ := one.signUp(t, "ana@example.com")
	// options returns them, and a session's cookie that the ceremony's follows.
	options := func(path, session string) (opts, cookies string) {
		t.Helper()
		res, opts := one.want(t, 200, "POST", path, session, "")
		for _, c := range res.Cookies() {
			if c.Name == "__Secure-passkey" {
				return opts, session + "; " + c.Name + "=" + c.Value
			}
		}
		t.Fatal("no cookie")
		return "", ""
	}
	opts, cookies := options("/auth/passkeys/options", session)
	two.want(t, 201, "POST", "/auth/passkeys", cookies, fmt.Sprintf(`{"name":"Laptop","credential":%s}`, device.Create(t, opts)))
	b.mail(t, "ana@example.com", "passkey was added")

	opts, cookies = options("/auth/passkeys/login/options", "")
	answer := fmt.Sprintf(`{"credential":%s}`, device.Sign(t, opts))
	res, _ := two.want(t, 200, "POST", "/auth/passkeys/login", cookies, answer)
	one.want(t, 409, "POST", "/auth/passkeys/login", cookies, answer)
	two.want(t, 409, "POST", "/auth/passkeys/login", cookies, answer)
	one.want(t, 200, "GET", "/auth/me", newCookie(t, res), "")
}
