//go:build integration

package e2e

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
)

// The main job: from the sign-up to a conversation with ticks.
func TestMainJob(t *testing.T) {
	b := setup(t)
	b.waitWarm(t, 1)

	u := &user{client: b.client(t)}
	b.retireAtEnd(t, u)
	u.want(http.StatusCreated, "POST", "/auth/signup", map[string]string{"email": newEmail(), "password": password}).into(t, &u.me)
	if u.me.Slice.State != "assigned" {
		t.Fatalf("with a warm slice there, the sign-up's own answer says %q, want assigned", u.me.Slice.State)
	}
	b.waitAssigned(t, u)
	var sameSecond bool
	err := b.db.QueryRow(t.Context(), `SELECT s.assigned_at - u.created_at < interval '1 second'
		FROM gateway.slices s JOIN gateway.users u ON u.id = s.user_id WHERE u.id = $1`, u.me.User.ID).Scan(&sameSecond)
	if err != nil || !sameSecond {
		t.Errorf("claimed in the same second: %v, %v", sameSecond, err)
	}

	w := u.whatsApp()
	if w.State != "qr" || w.QR == nil || !strings.HasPrefix(w.QR.Image, "data:image/png;base64,") {
		t.Fatalf("a fresh slice shows %+v, want a QR", w)
	}
	if png, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(w.QR.Image, "data:image/png;base64,")); err != nil || !strings.HasPrefix(string(png), "\x89PNG") {
		t.Errorf("the QR's picture is no PNG (%v)", err)
	}

	live := u.listen()
	phone, customer := newPhone(), newPhone()
	b.link(t, u, phone, "Ana's Bakery")

	in := "Do you have rye bread? <b>&</b> 🍞"
	if _, err := b.sim.CustomerWrites(t.Context(), phone, customer, "Carl", in); err != nil {
		t.Fatal(err)
	}
	got := live.waitMessage(in)
	chat := customer + "@c.us"
	if got.ChatID != chat || got.Direction != "in" {
		t.Errorf("got %+v", got)
	}
	slice, err := pgx.Connect(t.Context(), b.DatabaseURL(platform.SliceDatabase(u.number)))
	if err != nil {
		t.Fatal(err)
	}
	defer slice.Close(t.Context())
	var stored int
	if err := slice.QueryRow(t.Context(), `SELECT count(*) FROM messages WHERE text = $1`, in).Scan(&stored); err != nil || stored != 1 {
		t.Errorf("in %s: %d rows, %v; want 1", platform.SliceDatabase(u.number), stored, err)
	}

	var chats struct {
		Chats []struct {
			ID, Name string
			Unread   int
		}
	}
	u.want(http.StatusOK, "GET", "/api/chats", nil).into(t, &chats)
	if len(chats.Chats) != 1 || chats.Chats[0].ID != chat || chats.Chats[0].Unread != 1 {
		t.Errorf("chats: %+v", chats)
	}

	out := "Yes, fresh at 7."
	var sent message
	u.want(http.StatusCreated, "POST", chatPath(chat), map[string]string{"text": out, "client_id": "c-1"}).into(t, &sent)
	var again message
	u.want(http.StatusCreated, "POST", chatPath(chat), map[string]string{"text": out, "client_id": "c-1"}).into(t, &again)
	if again.ID != sent.ID {
		t.Errorf("the same client_id gave two messages: %s and %s", sent.ID, again.ID)
	}
	eventually(t, 20*time.Second, func() error {
		msgs, err := b.sim.Messages(t.Context(), phone, chat)
		if err != nil {
			return err
		}
		n := 0
		for _, m := range msgs {
			if m.FromMe && m.Text == out {
				n++
			}
		}
		if n != 1 {
			return fmt.Errorf("the reply is on the phone %d times", n)
		}
		return nil
	})
	ack := func(want string) {
		t.Helper()
		eventually(t, 20*time.Second, func() error {
			var thread struct{ Messages []message }
			u.want(http.StatusOK, "GET", chatPath(chat), nil).into(t, &thread)
			if n := len(thread.Messages); n != 2 {
				return fmt.Errorf("%d messages in the thread", n)
			}
			if m := thread.Messages[1]; m.ID != sent.ID || m.Ack != want {
				return fmt.Errorf("%+v, want ack %s", m, want)
			}
			return nil
		})
	}
	ack("delivered")
	if err := b.sim.CustomerReads(t.Context(), phone, chat); err != nil {
		t.Fatal(err)
	}
	live.waitAck(sent.ID, "read")
	ack("read")

	u.want(http.StatusNoContent, "POST", "/auth/logout", nil)
	u.wantProblem(http.StatusUnauthorized, "GET", "/api/chats", nil)
	u.want(http.StatusOK, "POST", "/auth/login", map[string]string{"email": u.me.User.Email, "password": password})
	ack("read")
}

// waitWarm waits until n slices are warm.
func (b *bundle) waitWarm(t testing.TB, n int) {
	t.Helper()
	eventually(t, 3*time.Minute, func() error {
		var warm int
		err := b.db.QueryRow(t.Context(), `SELECT count(*) FROM gateway.slices
			WHERE state = 'warm' AND generation = (SELECT id FROM gateway.generations WHERE is_current)`).Scan(&warm)
		if err == nil && warm < n {
			err = fmt.Errorf("%d slices warm, want %d", warm, n)
		}
		return err
	})
}
