//go:build integration

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A user asks for the deletion of the account. Until its time has come all goes on;
// then the account, its sessions and its slice are gone, and the address is free.
func TestUserLeaves(t *testing.T) {
	b := setup(t)
	u := b.signUp(t)
	admin := b.client(t)
	email, adminPassword := b.Admin()
	admin.want(http.StatusOK, "POST", "/auth/login", map[string]string{"email": email, "password": adminPassword})

	u.wantProblem(http.StatusBadRequest, "POST", "/auth/account/deletion", map[string]string{"email": "somebody@example.com"})
	var asked struct {
		DeletionAt time.Time `json:"deletion_at"`
	}
	u.want(http.StatusOK, "POST", "/auth/account/deletion", map[string]string{"email": u.me.User.Email}).into(t, &asked)
	if grace := time.Until(asked.DeletionAt); grace < 13*24*time.Hour || grace > 15*24*time.Hour {
		t.Errorf("%v of grace, want two weeks", grace)
	}
	u.want(http.StatusOK, "GET", "/api/whatsapp", nil)

	if _, err := b.db.Exec(t.Context(), `UPDATE gateway.users SET deletion_at = now() WHERE id = $1`, u.me.User.ID); err != nil {
		t.Fatal(err)
	}
	b.replaceGateways(t) // a gateway looks when it starts, then every ten minutes
	eventually(t, time.Minute, func() error {
		if a := u.do("GET", "/auth/me", nil); a.status != http.StatusUnauthorized {
			return fmt.Errorf("/auth/me: %d %s", a.status, a.body)
		}
		return nil
	})
	u.wantProblem(http.StatusUnauthorized, "GET", "/api/whatsapp", nil)
	admin.wantProblem(http.StatusNotFound, "GET", "/admin/users/"+u.me.User.ID, nil)
	eventually(t, 2*time.Minute, func() error {
		var s sliceInfo
		admin.want(http.StatusOK, "GET", fmt.Sprintf("/admin/slices/%d", u.number), nil).into(t, &s)
		return b.gone(t, u.number, s)
	})

	var actions []string
	rows, err := b.db.Query(t.Context(), `SELECT action FROM gateway.audit_log WHERE subject_id = $1 AND action LIKE 'user.%' ORDER BY id`, u.me.User.ID)
	if err == nil {
		actions, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if want := []string{"user.create", "user.deletion_request", "user.delete"}; err != nil || !slices.Equal(actions, want) {
		t.Error(errors.Join(err, fmt.Errorf("audited %v, want %v", actions, want)))
	}
	old := map[string]string{"email": u.me.User.Email, "password": password}
	again := &user{client: b.client(t)}
	again.want(http.StatusUnauthorized, "POST", "/auth/login", old)
	again.want(http.StatusCreated, "POST", "/auth/signup", old).into(t, &again.me)
	b.retireAtEnd(t, again)
	if again.me.User.ID == u.me.User.ID {
		t.Error("the same account again")
	}
}
