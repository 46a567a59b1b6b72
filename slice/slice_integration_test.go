//go:build integration

package slice_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image/png"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/crm/inbox"
	"ipnoelp.io/platform/slice/whatsapp"
)

func TestFromQRCodeToReadReply(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	status := b.waitState(whatsapp.StateQR)
	if status.Account != nil || status.QR.Text == "" || time.Until(status.QR.ExpiresAt) < 0 {
		t.Errorf("status %+v, QR %+v", status, status.QR)
	}
	data, ok := strings.CutPrefix(status.QR.Image, "data:image/png;base64,")
	if raw, err := base64.StdEncoding.DecodeString(data); !ok || err != nil {
		t.Errorf("QR image is no PNG data URI: %v", err)
	} else if _, err := png.Decode(bytes.NewReader(raw)); err != nil {
		t.Errorf("QR image: %v", err)
	}

	events := b.listen()
	first := waitEvent(b, events, inbox.EventState, func(whatsapp.Status) bool { return true })
	if first.State != whatsapp.StateQR {
		t.Errorf("told %s at connect, want qr", first.State)
	}
	b.link()
	ready := waitEvent(b, events, inbox.EventState, func(s whatsapp.Status) bool { return s.State == whatsapp.StateReady })
	if want := (whatsapp.Account{ID: phone + "@c.us", Phone: "+" + phone, Name: "Ana's Bakery"}); ready.Account == nil || *ready.Account != want {
		t.Errorf("account %+v, want %+v", ready.Account, want)
	}

	b.customerWrites("Do you have bread?")
	in := waitEvent(b, events, inbox.EventMessage, func(m inbox.Message) bool { return m.Text == "Do you have bread?" })
	if in.Direction != inbox.In || in.ChatID != chatID || in.SenderName != "Carl" || in.Type != "text" {
		t.Errorf("message %+v", in)
	}
	chat := waitEvent(b, events, inbox.EventChat, func(c inbox.Chat) bool { return c.ID == chatID && c.Unread == 1 })
	if chat.LastMessage == nil || chat.LastMessage.ID != in.ID || chat.Phone == nil || *chat.Phone != "+"+customer {
		t.Errorf("chat %+v", chat)
	}
	if n := b.count(`SELECT count(*) FROM messages WHERE text = $1`, "Do you have bread?"); n != 1 {
		t.Errorf("%d rows of the message", n)
	}

	var out inbox.Message
	body := map[string]string{"text": "Yes, fresh.", "client_id": "c-1"}
	if code := b.do("POST", "/api/chats/"+chatID+"/messages", body, &out); code != http.StatusCreated {
		t.Fatalf("send: %d", code)
	}
	if out.ClientID == nil || *out.ClientID != "c-1" || out.Direction != inbox.Out {
		t.Errorf("sent %+v", out)
	}
	waitEvent(b, events, inbox.EventMessage, func(m inbox.Message) bool { return m.ID == out.ID })
	waitEvent(b, events, inbox.EventAck, func(a inbox.Ack) bool { return a.ID == out.ID && a.Ack == "delivered" })
	if err := b.sim.CustomerReads(t.Context(), phone, chatID); err != nil {
		t.Fatal(err)
	}
	waitEvent(b, events, inbox.EventAck, func(a inbox.Ack) bool { return a.ID == out.ID && a.Ack == "read" })

	// The same client id again is the same message, and nothing is sent twice.
	var again inbox.Message
	if code := b.do("POST", "/api/chats/"+chatID+"/messages", body, &again); code != http.StatusCreated || again.ID != out.ID {
		t.Errorf("second time: %d, message %s, want %s", code, again.ID, out.ID)
	}
	if code := b.do("POST", "/api/chats/"+chatID+"/messages", map[string]string{"text": "Other", "client_id": "c-1"}, nil); code != http.StatusConflict {
		t.Errorf("client id with another text: %d, want 409", code)
	}
	sent, err := b.sim.Messages(t.Context(), phone, chatID)
	if err != nil {
		t.Fatal(err)
	}
	if len(sent) != 2 || sent[1].Text != "Yes, fresh." || sent[1].Ack != 3 {
		t.Errorf("the phone has %+v", sent)
	}
	if n := len(b.messages(chatID)); n != 2 {
		t.Errorf("%d messages, want 2: what was sent must not come back as another one", n)
	}
}

func TestLoginSurvivesARestartAndMissedMessagesAreFetched(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	b.link()
	b.customerWrites("before")
	b.waitMessages(1)
	b.stop()
	b.customerWrites("while away")
	b.start()
	b.waitState(whatsapp.StateReady)
	b.eventually("missed message", func() string {
		if m := b.messages(chatID); len(m) != 2 || m[1].Text != "while away" {
			return fmt.Sprintf("messages %+v", m)
		}
		return ""
	})
	var page inbox.ChatPage
	b.do("GET", "/api/chats", nil, &page)
	if len(page.Chats) != 1 || page.Chats[0].Unread != 2 {
		t.Errorf("chats %+v, want one with 2 unread", page.Chats)
	}
	if code := b.do("POST", "/api/chats/"+chatID+"/read", nil, nil); code != http.StatusNoContent {
		t.Errorf("read: %d", code)
	}
	b.do("GET", "/api/chats", nil, &page)
	if page.Chats[0].Unread != 0 {
		t.Errorf("%d unread after reading", page.Chats[0].Unread)
	}
}

func TestMessagesThatWhatsAppReportsOddly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	b.link()
	for _, fault := range []string{"double_new_message", "silent_message", "lid_contact"} {
		if err := b.sim.Fault(t.Context(), phone, fault); err != nil {
			t.Fatal(err)
		}
	}
	b.customerWrites("twice")
	b.customerWrites("silent")
	b.customerWrites("from a LID")
	b.eventually("messages", func() string {
		n := b.count(`SELECT count(*) FROM messages WHERE text IN ('twice', 'silent', 'from a LID') AND type = 'text'`)
		if all := b.count(`SELECT count(*) FROM messages`); n != 3 || all != 3 {
			return fmt.Sprintf("%d of 3 are there, %d rows in all", n, all)
		}
		return ""
	})
	if n := b.count(`SELECT count(*) FROM chats WHERE id LIKE '%@lid' AND phone IS NULL`); n != 1 {
		t.Errorf("%d chats by LID without a phone, want 1", n)
	}
}

func TestLogoutHereAndOnThePhone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	events := b.listen()
	b.link()
	if code := b.do("POST", "/api/whatsapp/logout", nil, nil); code != http.StatusNoContent {
		t.Fatalf("logout: %d", code)
	}
	waitEvent(b, events, inbox.EventState, func(s whatsapp.Status) bool { return s.State == whatsapp.StateLoggedOut })
	waitEvent(b, events, inbox.EventState, func(s whatsapp.Status) bool { return s.State == whatsapp.StateQR })
	if code := b.do("POST", "/api/chats/"+chatID+"/messages", map[string]string{"text": "x"}, nil); code != http.StatusNotFound {
		t.Errorf("sending to an unknown chat: %d, want 404", code)
	}
	b.link()
	b.customerWrites("hello")
	waitEvent(b, events, inbox.EventMessage, func(m inbox.Message) bool { return m.Text == "hello" })
	if err := b.sim.Logout(t.Context(), phone); err != nil {
		t.Fatal(err)
	}
	waitEvent(b, events, inbox.EventState, func(s whatsapp.Status) bool { return s.State == whatsapp.StateLoggedOut })
	b.waitState(whatsapp.StateQR)
	if code := b.do("POST", "/api/chats/"+chatID+"/messages", map[string]string{"text": "x"}, nil); code != http.StatusConflict {
		t.Errorf("sending without a link: %d, want 409", code)
	}
}

func TestRequestsForAnotherSliceAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	header := func(number, token string) http.Header {
		h := http.Header{}
		if number != "" {
			h.Set(platform.HeaderSliceNumber, number)
		}
		if token != "" {
			h.Set(platform.HeaderSliceToken, token)
		}
		return h
	}
	for _, tc := range []struct {
		name   string
		header http.Header
		want   int
	}{
		{"another number", header("43", token), http.StatusMisdirectedRequest},
		{"another number and token", header("43", "x"), http.StatusMisdirectedRequest},
		{"wrong token", header("42", token+"x"), http.StatusUnauthorized},
		{"no token", header("42", ""), http.StatusUnauthorized},
		{"no number", header("", token), http.StatusUnauthorized},
		{"nothing", header("", ""), http.StatusUnauthorized},
	} {
		for _, path := range []string{"/api/whatsapp", "/api/chats", "/nowhere", "/socket.io/?EIO=4&transport=polling"} {
			req, _ := http.NewRequest("GET", b.base+path, nil)
			req.Header = tc.header.Clone()
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != tc.want || res.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s, %s: %d, want %d as problem", tc.name, path, res.StatusCode, tc.want)
			}
		}
		conn, res, err := websocket.Dial(t.Context(), b.base+"/socket.io/?EIO=4&transport=websocket", &websocket.DialOptions{HTTPHeader: tc.header})
		if err == nil {
			conn.CloseNow()
		}
		if res == nil || res.StatusCode != tc.want {
			t.Errorf("%s, WebSocket: %+v, want %d", tc.name, res, tc.want)
		}
	}
}
