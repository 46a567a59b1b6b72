//go:build integration

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

// What admins do, and a second factor, with two gateways and the real database:
// what one gateway was told counts at the other.
func TestAdminsDeskAcrossGateways(t *testing.T) {
	b := setup(t)
	number := b.addSlice(t)
	one, two := b.start(t), b.start(t)
	ana, body := one.signUp(t, "ana@example.com")
	var who struct{ User struct{ ID string } }
	if err := json.Unmarshal([]byte(body), &who); err != nil {
		t.Fatal(err)
	}
	// Ana has a second factor, set up here and asked for there.
	_, body = one.want(t, 200, "POST", "/auth/totp", ana, "")
	var offer struct{ Secret string }
	if err := json.Unmarshal([]byte(body), &offer); err != nil {
		t.Fatal(err)
	}
	code := func(at time.Time) string {
		c, err := totp.GenerateCode(offer.Secret, at)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{"code":%q}`, c)
	}
	one.want(t, 200, "POST", "/auth/totp/confirm", ana, code(time.Now().Add(-30*time.Second)))
	logIn := `{"email":"ana@example.com","password":"correct horse"}`
	if _, body := two.want(t, 401, "POST", "/auth/login", "", logIn); !strings.Contains(body, "/problems/second_factor") {
		t.Errorf("log-in: %s", body)
	}

	res, _ := one.want(t, 200, "POST", "/auth/login", "", `{"email":"admin@example.com","password":"correct horse"}`)
	admin := sessionOf(t, res)
	user := "/admin/users/" + who.User.ID
	if _, body := two.want(t, 200, "GET", "/admin/users?email=ana", admin, ""); !strings.Contains(body, who.User.ID) || !strings.Contains(body, fmt.Sprintf(`"number":%d`, number)) {
		t.Errorf("search: %s", body)
	}
	if _, body := two.want(t, 200, "GET", user, admin, ""); !strings.Contains(body, `"second_factor":true`) {
		t.Errorf("detail: %s", body)
	}
	two.want(t, 200, "DELETE", user+"/second-factor", admin, "")
	one.want(t, 200, "POST", "/auth/login", "", logIn)

	two.want(t, 200, "PATCH", "/admin/settings", admin, `{"price":1500,"deletion_grace_days":7}`)
	if _, body := one.want(t, 200, "GET", "/admin/settings", admin, ""); !strings.Contains(body, `"price":1500`) {
		t.Errorf("settings: %s", body)
	}
	if _, body := one.want(t, 200, "GET", "/admin/pool", admin, ""); !strings.Contains(body, `"total":1,"hits":1`) {
		t.Errorf("pool: %s", body)
	}
	if _, body := one.want(t, 200, "GET", "/admin/slices", admin, ""); !strings.Contains(body, `"user_email":"ana@example.com"`) || strings.Contains(body, `"last_activity_at":null`) {
		t.Errorf("slices: %s", body)
	}

	res, _ = one.want(t, 201, "POST", user+"/impersonate", admin, `{"reason":"asked for help"}`)
	acting := sessionOf(t, res)
	if _, body := two.want(t, 200, "GET", "/auth/me", acting, ""); !strings.Contains(body, "ana@example.com") || strings.Contains(body, `"impersonation":null`) {
		t.Errorf("acting: %s", body)
	}
	two.want(t, 401, "GET", "/admin/pool", admin, "")
	two.want(t, 403, "GET", "/auth/export", acting, "") // asks who it really is
	if res, body := two.call(t, "GET", "/api/whoami", acting, ""); res.StatusCode != 200 || body != fmt.Sprintf("%d ana@example.com", number) {
		t.Errorf("in the workspace: %d %s", res.StatusCode, body)
	}
	two.want(t, 204, "POST", "/auth/logout", acting, "")
	if _, body := one.want(t, 200, "GET", "/auth/export", ana, ""); !strings.Contains(body, `"kind":"support_access"`) || !strings.Contains(body, `"action":"user.impersonate"`) {
		t.Errorf("ana is not told: %s", body)
	}

	res, _ = one.want(t, 200, "POST", "/auth/login", "", `{"email":"admin@example.com","password":"correct horse"}`)
	admin = sessionOf(t, res)
	_, body = two.want(t, 200, "GET", "/admin/audit?subject_id="+who.User.ID, admin, "")
	for _, action := range []string{"user.create", "user.second_factor_enable", "user.second_factor_reset", "session.create", "user.impersonate", "session.delete", "user.export"} {
		if !strings.Contains(body, `"action":"`+action+`"`) {
			t.Errorf("the audit log lacks %s: %s", action, body)
		}
	}
	two.want(t, 200, "POST", user+"/block", admin, `{"reason":"spam"}`)
	until(t, "blocked on the other gateway", func() bool {
		res, _ := one.call(t, "GET", "/api/whoami", ana, "")
		return res.StatusCode == 403
	})
}
