package gateway

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pquerna/otp/totp"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
	"ipnoelp.io/platform/gateway/auth/passkeytest"
)

func TestMemoryStoreKeepsPasskeys(t *testing.T) {
	s := newMemoryStore()
	passkeytest.TestStore(t, s, func(email string) (platform.User, [32]byte) {
		session := sha256.Sum256([]byte(email))
		u, _, err := s.SignUp(t.Context(), email, "", platform.SessionStart{TokenHash: session}, platform.AuditEntry{})
		if err != nil {
			t.Fatal(err)
		}
		return u, session
	})
}

// browser keeps the cookies of one client.
type browser struct {
	*testBundle
	session, ceremony string
	passkeytest.Authenticator
}

func (b *testBundle) browser(session string) *browser {
	return &browser{testBundle: b, session: session, Authenticator: passkeytest.Authenticator{Origin: "https://app.example.com"}}
}

func (b *browser) send(t *testing.T, status int, method, path, body string) string {
	t.Helper()
	header := http.Header{"Cookie": {auth.CookieName + "=" + b.session + "; __Secure-passkey=" + b.ceremony}}
	res, got := b.call(t, method, path, "", body, header)
	if res.StatusCode != status {
		t.Fatalf("%s %s: %d %s, want %d", method, path, res.StatusCode, got, status)
	}
	if status >= 400 {
		wantProblem(t, res, got, status)
	}
	for _, c := range res.Cookies() {
		switch c.Name {
		case auth.CookieName:
			b.session = c.Value
		case "__Secure-passkey":
			if !c.HttpOnly || !c.Secure || c.Path != "/auth/" || c.SameSite != http.SameSiteStrictMode {
				t.Errorf("cookie %+v", c)
			}
			b.ceremony = c.Value
		}
	}
	return got
}

func credential(c json.RawMessage) string { return fmt.Sprintf(`{"credential":%s}`, c) }
func named(name string, c json.RawMessage) string {
	return fmt.Sprintf(`{"name":%q,"credential":%s}`, name, c)
}

// register adds a passkey and returns its id.
func (b *browser) register(t *testing.T, name string) string {
	t.Helper()
	got := b.send(t, 201, "POST", "/auth/passkeys", named(name, b.Create(t, b.send(t, 200, "POST", "/auth/passkeys/options", ""))))
	var p struct{ ID string }
	if err := json.Unmarshal([]byte(got), &p); err != nil || p.ID == "" {
		t.Fatalf("passkey %s", got)
	}
	return p.ID
}

// logIn tries the newest passkey in a browser that is not logged in.
func (b *browser) logIn(t *testing.T, status int) string {
	t.Helper()
	b.session = ""
	return b.send(t, status, "POST", "/auth/passkeys/login", credential(b.Sign(t, b.send(t, 200, "POST", "/auth/passkeys/login/options", ""))))
}

func (s *memoryStore) actions(userID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, e := range s.audit {
		if e.SubjectID == userID {
			all = append(all, e.Action)
			if e.Action == "session.create" && !strings.Contains(string(e.After), `"method":"passkey"`) {
				all = append(all, string(e.After))
			}
		}
	}
	return strings.Join(all, " ")
}

func TestPasskeyLife(t *testing.T) {
	b := setup(t)
	c := b.browser(b.signUp(t, "ana@example.com"))
	if got := c.send(t, 200, "GET", "/auth/passkeys", ""); !strings.Contains(got, `"passkeys":[]`) {
		t.Errorf("at first: %s", got)
	}
	c.send(t, 409, "POST", "/auth/reauthenticate/passkey/options", "")
	c.Synced = true
	first := c.register(t, " Laptop ")
	if handle := string(c.Keys[0].UserHandle); len(handle) != 32 || strings.Contains(handle, "ana") {
		t.Errorf("user handle %q", handle)
	}

	// What the authenticator has is not made again.
	options := c.send(t, 200, "POST", "/auth/passkeys/options", "")
	if !strings.Contains(options, `"excludeCredentials":[{"type":"public-key","id":`) || !strings.Contains(options, `"transports":["hybrid","internal"]`) {
		t.Errorf("options %s", options)
	}
	c.Authenticator = passkeytest.Authenticator{Origin: c.Origin, Keys: nil, Counts: true}
	second := c.register(t, "Key")
	if string(c.Keys[0].UserHandle) == "" || c.Keys[0].Synced {
		t.Errorf("key %+v", c.Keys[0])
	}

	// A passkey alone is two factors: no code is asked for.
	_, body := b.call(t, "POST", "/auth/totp", c.session, "", nil)
	var offer struct{ Secret string }
	if err := json.Unmarshal([]byte(body), &offer); err != nil {
		t.Fatal(err)
	}
	code, err := totp.GenerateCode(offer.Secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c.send(t, 200, "POST", "/auth/totp/confirm", fmt.Sprintf(`{"code":%q}`, code))
	old := c.session
	if got := c.logIn(t, 200); !strings.Contains(got, `"email":"ana@example.com"`) || c.session == "" || c.session == old {
		t.Errorf("log-in: %s", got)
	}
	got := c.send(t, 200, "GET", "/auth/passkeys", "")
	var list struct {
		Passkeys []struct {
			ID, Name         string
			LastUsedAt       *time.Time `json:"last_used_at"`
			Syncable, Synced bool
		}
	}
	if err := json.Unmarshal([]byte(got), &list); err != nil || len(list.Passkeys) != 2 {
		t.Fatalf("list %s", got)
	}
	if p := list.Passkeys[0]; p.ID != second || p.Name != "Key" || p.LastUsedAt == nil || p.Synced || p.Syncable {
		t.Errorf("used: %+v", p)
	}
	if p := list.Passkeys[1]; p.ID != first || p.Name != "Laptop" || p.LastUsedAt != nil || !p.Synced || !p.Syncable {
		t.Errorf("not used: %+v", p)
	}

	if got := c.send(t, 200, "GET", "/auth/export", ""); !strings.Contains(got, `"passkeys":[{"id":"`+second+`","name":"Key"`) {
		t.Errorf("export %s", got)
	}

	// It confirms who the user is, and the session gets another token.
	c.age(t)
	c.send(t, 403, "DELETE", "/auth/passkeys/"+second, "")
	old = c.session
	c.send(t, 204, "POST", "/auth/reauthenticate/passkey", credential(c.Sign(t, c.send(t, 200, "POST", "/auth/reauthenticate/passkey/options", ""))))
	if c.session == old {
		t.Error("the session was not rotated")
	}
	if got := c.send(t, 200, "PATCH", "/auth/passkeys/"+second, `{"name":" Schlüssel "}`); !strings.Contains(got, `"name":"Schlüssel"`) {
		t.Errorf("renamed: %s", got)
	}
	c.send(t, 204, "DELETE", "/auth/passkeys/"+second, "")
	c.send(t, 404, "DELETE", "/auth/passkeys/"+second, "")
	c.logIn(t, 401)

	user := testUserID(1)
	if got := b.store.actions(user); got != "user.create passkey.create passkey.create user.second_factor_enable session.create user.export session.reauthenticate passkey.rename passkey.delete" {
		t.Errorf("audit %s", got)
	}
	var mails []platform.MailKind
	b.store.locked(func() {
		for _, m := range b.store.mails {
			mails = append(mails, m.Kind)
		}
	})
	if !slices.Equal(mails, []platform.MailKind{platform.MailVerifyEmail, platform.MailPasskeyAdded, platform.MailPasskeyAdded, platform.MailPasskeyRemoved}) {
		t.Errorf("mails %v", mails)
	}
}

// age makes the session's authentication too old for what asks for a recent one.
func (b *browser) age(t *testing.T) {
	t.Helper()
	hash, ok := platform.HashSessionToken(b.session)
	if !ok {
		t.Fatal("no session")
	}
	b.store.locked(func() {
		ses := b.store.sessions[hash]
		ses.AuthenticatedAt = time.Now().Add(-time.Hour)
		b.store.sessions[hash] = ses
	})
	b.sessions.Invalidate(hash)
}

func TestPasskeysAskForRecentAuthentication(t *testing.T) {
	b := setup(t)
	c := b.browser(b.signUp(t, "ana@example.com"))
	id := c.register(t, "Laptop")
	options := c.send(t, 200, "POST", "/auth/passkeys/options", "")
	c.Keys = nil
	made := named("x", c.Create(t, options))
	c.age(t)
	for _, route := range []string{"POST /auth/passkeys/options", "POST /auth/passkeys", "DELETE /auth/passkeys/" + id} {
		method, path, _ := strings.Cut(route, " ")
		body := ""
		if path == "/auth/passkeys" {
			body = made
		}
		if got := c.send(t, 403, method, path, body); !strings.Contains(got, "/problems/reauthenticate") {
			t.Errorf("%s: %s", route, got)
		}
		b.browser("").send(t, 401, method, path, body)
	}
	for _, route := range []string{"GET /auth/passkeys", "PATCH /auth/passkeys/" + id, "POST /auth/reauthenticate/passkey/options", "POST /auth/reauthenticate/passkey"} {
		method, path, _ := strings.Cut(route, " ")
		b.browser("").send(t, 401, method, path, "")
	}
}

// What a browser or an authenticator may do wrong, or be made to.
func TestPasskeyAnswersThatAreRefused(t *testing.T) {
	b := setup(t)
	ana, ben := b.browser(b.signUp(t, "ana@example.com")), b.browser(b.signUp(t, "ben@example.com"))
	ana.register(t, "Laptop")
	ben.register(t, "Laptop")
	good := ana.Authenticator
	for name, lie := range map[string]func(*passkeytest.Authenticator){
		"wrong origin":         func(a *passkeytest.Authenticator) { a.Origin = "https://app.example.com.evil.example" },
		"origin without TLS":   func(a *passkeytest.Authenticator) { a.Origin = "http://app.example.com" },
		"another port":         func(a *passkeytest.Authenticator) { a.Origin = "https://app.example.com:8443" },
		"subdomain":            func(a *passkeytest.Authenticator) { a.Origin = "https://x.app.example.com" },
		"frame of another":     func(a *passkeytest.Authenticator) { a.CrossOrigin = true },
		"wrong RP id":          func(a *passkeytest.Authenticator) { a.RPID = "example.com" },
		"user not verified":    func(a *passkeytest.Authenticator) { a.Unverified = true },
		"signed by another":    func(a *passkeytest.Authenticator) { a.Keys[0].Private = ben.Keys[0].Private },
		"another's credential": func(a *passkeytest.Authenticator) { a.Keys[0].ID = ben.Keys[0].ID },
		"another's handle":     func(a *passkeytest.Authenticator) { a.Keys[0].UserHandle = ben.Keys[0].UserHandle },
		"no handle":            func(a *passkeytest.Authenticator) { a.Keys[0].UserHandle = nil },
		"unknown credential":   func(a *passkeytest.Authenticator) { a.Keys[0].ID = []byte("unknown credential") },
		"became syncable":      func(a *passkeytest.Authenticator) { a.Keys[0].Synced = true },
	} {
		t.Run(name, func(t *testing.T) {
			fresh := func() *browser {
				c := b.browser("")
				c.Authenticator = good
				c.Keys = []*passkeytest.Key{good.Keys[0].Clone()}
				lie(&c.Authenticator)
				return c
			}
			if got := fresh().logIn(t, 401); !strings.Contains(got, "was not accepted") {
				t.Errorf("log-in: %s", got)
			}
			c := fresh()
			ana.logIn(t, 200) // attempts are counted for each session
			c.session = ana.session
			options := c.send(t, 200, "POST", "/auth/reauthenticate/passkey/options", "")
			if name == "unknown credential" || name == "another's credential" || name == "no handle" {
				return // browsers honour what is allowed; without a handle it is good, since the user is known
			}
			c.send(t, 400, "POST", "/auth/reauthenticate/passkey", credential(c.Sign(t, options)))
			if name == "signed by another" || strings.HasPrefix(name, "another's") || name == "became syncable" {
				return // what follows is about new keys
			}
			c.send(t, 400, "POST", "/auth/passkeys", named("x", func() json.RawMessage {
				options := c.send(t, 200, "POST", "/auth/passkeys/options", "")
				c.Keys = nil
				return c.Create(t, options)
			}()))
		})
	}
	if got := len(b.store.passkeysOf(testUserID(1))); got != 1 {
		t.Errorf("%d passkeys", got)
	}

	// Ben's passkey does not confirm that it is Ana.
	ana.logIn(t, 200)
	ana.send(t, 200, "POST", "/auth/reauthenticate/passkey/options", "")
	log := b.browser("")
	log.Authenticator, log.ceremony = ben.Authenticator, ana.ceremony
	log.session = ana.session
	options := log.send(t, 200, "POST", "/auth/reauthenticate/passkey/options", "")
	var in struct {
		PublicKey map[string]any `json:"public_key"`
	}
	if err := json.Unmarshal([]byte(options), &in); err != nil {
		t.Fatal(err)
	}
	delete(in.PublicKey, "allowCredentials")
	all, _ := json.Marshal(in)
	log.send(t, 400, "POST", "/auth/reauthenticate/passkey", credential(log.Sign(t, string(all))))

	// Nor is a key that is Ana's registered for Ben.
	options = ben.send(t, 200, "POST", "/auth/passkeys/options", "")
	ben.Keys = nil
	made := ben.Create(t, options)
	b.store.locked(func() { b.store.passkeys[0].CredentialID = ben.Keys[0].ID })
	ben.send(t, 409, "POST", "/auth/passkeys", named("x", made))
}

func TestPasskeyChallengesAreGoodOnce(t *testing.T) {
	b := setup(t)
	c := b.browser(b.signUp(t, "ana@example.com"))
	c.register(t, "Laptop") // does not count: nothing but the challenge tells a replay
	over := func(path, body string) {
		t.Helper()
		if got := c.send(t, 409, "POST", path, body); !strings.Contains(got, "Begin again") {
			t.Errorf("%s: %s", path, got)
		}
	}
	options := c.send(t, 200, "POST", "/auth/passkeys/login/options", "")
	ceremony, answer := c.ceremony, credential(c.Sign(t, options))
	c.send(t, 200, "POST", "/auth/passkeys/login", answer)
	if c.ceremony != "" {
		t.Error("the cookie was not cleared")
	}
	over("/auth/passkeys/login", answer)
	c.ceremony = ceremony
	over("/auth/passkeys/login", answer)

	// A wrong answer uses it up as well.
	options = c.send(t, 200, "POST", "/auth/passkeys/login/options", "")
	ceremony, answer = c.ceremony, credential(c.Sign(t, options))
	c.Unverified = true
	c.send(t, 401, "POST", "/auth/passkeys/login", credential(c.Sign(t, options)))
	c.Unverified, c.ceremony = false, ceremony
	over("/auth/passkeys/login", answer)

	// It is good for what it was made for, and for whom.
	options = c.send(t, 200, "POST", "/auth/passkeys/login/options", "")
	over("/auth/reauthenticate/passkey", credential(c.Sign(t, options)))
	options = c.send(t, 200, "POST", "/auth/reauthenticate/passkey/options", "")
	over("/auth/passkeys/login", credential(c.Sign(t, options)))
	options = c.send(t, 200, "POST", "/auth/passkeys/options", "")
	c.Keys = nil
	made := named("x", c.Create(t, options))
	ben := b.browser(b.signUp(t, "ben@example.com"))
	ben.ceremony = c.ceremony
	ben.send(t, 409, "POST", "/auth/passkeys", made)
	for _, forged := range []string{"", "AAAA", "###", strings.Repeat("A", 200)} {
		c.ceremony = forged
		over("/auth/passkeys", made)
	}
	// Another challenge than the cookie's.
	c.send(t, 200, "POST", "/auth/passkeys/options", "")
	c.send(t, 400, "POST", "/auth/passkeys", made)
	if n := len(b.store.passkeysOf(testUserID(1))); n != 1 {
		t.Errorf("%d passkeys", n)
	}
}

func TestCopiedPasskeyIsRefused(t *testing.T) {
	b := setup(t)
	c := b.browser(b.signUp(t, "ana@example.com"))
	c.Counts = true
	c.register(t, "Key")
	thief := b.browser("")
	thief.Authenticator = passkeytest.Authenticator{Origin: c.Origin, Counts: true, Keys: []*passkeytest.Key{c.Keys[0].Clone()}}
	c.logIn(t, 200)
	if got := thief.logIn(t, 403); !strings.Contains(got, "copy") || thief.session != "" {
		t.Errorf("copy: %s", got)
	}
	c.logIn(t, 200)
	c.Counts, c.Keys[0].Uses = false, 0 // a counter that was reset
	c.logIn(t, 403)
	if got := b.store.actions(testUserID(1)); got != "user.create passkey.create session.create passkey.clone_suspected session.create passkey.clone_suspected" {
		t.Errorf("audit %s", got)
	}
}

func TestBlockedUsersAndAdminsWithPasskeys(t *testing.T) {
	b := setup(t)
	admin := b.browser(b.admin(t))
	admin.register(t, "Laptop")
	if got := admin.logIn(t, 200); !strings.Contains(got, `"role":"admin"`) {
		t.Errorf("admin: %s", got)
	}
	c := b.browser(b.signUp(t, "ana@example.com"))
	c.register(t, "Laptop")
	id := b.users(t, admin.session, "email=ana").Users[0].ID
	admin.send(t, 200, "POST", "/admin/users/"+id+"/block", `{"reason":"spam"}`)
	if got := c.logIn(t, 403); !strings.Contains(got, "blocked") || c.session != "" {
		t.Errorf("blocked: %s", got)
	}
	admin.send(t, 200, "POST", "/admin/users/"+id+"/unblock", "")
	c.logIn(t, 200)

	// A reset takes the passkeys along.
	if got := admin.send(t, 200, "GET", "/admin/users/"+id, ""); !strings.Contains(got, `"second_factor":false,"passkeys":1`) {
		t.Errorf("detail %s", got)
	}
	if got := admin.send(t, 200, "DELETE", "/admin/users/"+id+"/second-factor", ""); !strings.Contains(got, `"passkeys":0`) {
		t.Errorf("reset %s", got)
	}
	admin.send(t, 409, "DELETE", "/admin/users/"+id+"/second-factor", "")
	c.logIn(t, 401)
}

func TestPasskeyInputIsChecked(t *testing.T) {
	b := setup(t)
	c := b.browser(b.signUp(t, "ana@example.com"))
	id := c.register(t, "Laptop")
	options := c.send(t, 200, "POST", "/auth/passkeys/options", "")
	keys := c.Keys
	c.Keys = nil
	made := string(c.Create(t, options))
	c.Keys = keys
	cookies := http.Header{"Cookie": {auth.CookieName + "=" + c.session + "; __Secure-passkey=" + c.ceremony}}
	for _, tc := range []struct {
		method, path, body string
		status             int
		fields             []string
	}{
		{"POST", "/auth/passkeys", `{`, 400, nil},
		{"POST", "/auth/passkeys", `{}`, 400, []string{"name", "credential"}},
		{"POST", "/auth/passkeys", `{"name":" ","credential":` + made + `}`, 400, []string{"name"}},
		{"POST", "/auth/passkeys", `{"name":"` + strings.Repeat("x", 101) + `","credential":` + made + `}`, 400, []string{"name"}},
		{"POST", "/auth/passkeys", `{"name":"a\u0000b","credential":` + made + `}`, 400, []string{"name"}},
		{"POST", "/auth/passkeys", `{"name":3,"credential":` + made + `}`, 400, []string{"name"}},
		{"POST", "/auth/passkeys", `{"name":"x","credential":null}`, 400, []string{"credential"}},
		{"POST", "/auth/passkeys", `{"name":"x","credential":7}`, 400, []string{"credential"}},
		{"POST", "/auth/passkeys", `{"name":"x","credential":{"id":"AA","rawId":"AA","type":"public-key","response":{}}}`, 400, []string{"credential"}},
		{"POST", "/auth/passkeys", `{"name":"x","credential":` + made + `,"role":"admin"}`, 400, []string{"role"}},
		{"POST", "/auth/passkeys", `{"name":"x","credential":"` + strings.Repeat("x", 33<<10) + `"}`, 413, nil},
		{"POST", "/auth/passkeys/login", `{}`, 400, []string{"credential"}},
		{"POST", "/auth/passkeys/login", `{"credential":[]}`, 400, []string{"credential"}},
		{"POST", "/auth/passkeys/login", `{"credential":` + made + `}`, 400, []string{"credential"}},
		{"POST", "/auth/passkeys/login", `{"credential":{},"email":"x"}`, 400, []string{"email"}},
		{"POST", "/auth/reauthenticate/passkey", `{"credential":""}`, 400, []string{"credential"}},
		{"PATCH", "/auth/passkeys/" + id, `{}`, 400, []string{"name"}},
		{"PATCH", "/auth/passkeys/" + id, `{"name":"` + strings.Repeat("ü", 101) + `"}`, 400, []string{"name"}},
		{"PATCH", "/auth/passkeys/" + uuid.NewString(), `{"name":"x"}`, 404, nil},
		{"PATCH", "/auth/passkeys/1", `{"name":"x"}`, 404, nil},
		{"DELETE", "/auth/passkeys/" + strings.ToUpper(id), ``, 404, nil},
		{"DELETE", "/auth/passkeys/login", ``, 404, nil},
	} {
		res, got := b.call(t, tc.method, tc.path, "", tc.body, cookies.Clone())
		wantProblem(t, res, got, tc.status, tc.fields...)
		if t.Failed() {
			t.Fatalf("%s %s %.200s", tc.method, tc.path, tc.body)
		}
	}
	header := cookies.Clone()
	header.Set("Content-Type", "text/plain")
	res, got := b.call(t, "POST", "/auth/passkeys", "", `{}`, header)
	wantProblem(t, res, got, 415)
	// None of that used the challenge up.
	c.send(t, 201, "POST", "/auth/passkeys", `{"name":"x","credential":`+made+`}`)
	if got := b.store.actions(testUserID(1)); got != "user.create passkey.create passkey.create" {
		t.Errorf("audit %s", got)
	}
	for n := 2; n < platform.MaxPasskeys; n++ {
		b.store.locked(func() {
			b.store.passkeys = append(b.store.passkeys, memoryPasskey{platform.Passkey{ID: uuid.NewString()}, testUserID(1)})
		})
	}
	c.send(t, 409, "POST", "/auth/passkeys/options", "")
}

func TestPasskeyLogInsAreLimited(t *testing.T) {
	b := setup(t)
	c := b.browser(b.signUp(t, "ana@example.com"))
	c.register(t, "Laptop")
	c.logIn(t, 200) // costs nothing
	c.Unverified = true
	for range 60 {
		c.logIn(t, 401)
	}
	c.session = ""
	options := c.send(t, 200, "POST", "/auth/passkeys/login/options", "")
	res, got := b.call(t, "POST", "/auth/passkeys/login", "", credential(c.Sign(t, options)), http.Header{"Cookie": {"__Secure-passkey=" + c.ceremony}})
	wantProblem(t, res, got, 429)
	if res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestPasskeysAreOfTheAppsDomain(t *testing.T) {
	at := func(public string) *browser {
		b := setupOptions(t, func(o *Options) { o.PublicURL, _ = url.Parse(public) })
		c := b.browser(b.signUp(t, "ana@example.com"))
		c.Origin = public
		return c
	}
	for _, public := range []string{"http://localhost:8080", "https://crm.example.com:8443"} {
		c := at(public)
		c.register(t, "Laptop")
		c.logIn(t, 200)
	}
	for _, public := range []string{"https://127.0.0.1:8443", "https://[::1]:8443"} {
		c := at(public)
		for _, path := range []string{"/auth/passkeys/options", "/auth/passkeys/login/options", "/auth/passkeys/login", "/auth/passkeys", "/auth/reauthenticate/passkey"} {
			if got := c.send(t, 409, "POST", path, ""); !strings.Contains(got, "domain name") {
				t.Errorf("%s%s: %s", public, path, got)
			}
		}
		c.send(t, 200, "GET", "/auth/passkeys", "")
	}
}
