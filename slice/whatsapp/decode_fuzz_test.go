package whatsapp

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// Whatever a page says: what comes out of it can be stored and shown.
func FuzzDecode(f *testing.F) {
	const message = `{"type":"message","chat":{"id":"1-2@g.us","name":"G","read_only":true,"unread":-1e300},"message":{"id":"false_1-2@g.us_A_3@lid","chat_id":"1-2@g.us",` +
		`"sender_id":"3:1@lid","sender_name":"C","type":"image","text":"a\u0000b","ack":9e99,"t":1700000000,"quoted":"true_1@c.us_B","edited":true,` +
		`"media":{"mime_type":"image/jpeg; x=y","name":"..\\..\\a\u0000\u001b/b.jpg","size":-5,"width":1e99,"height":2,"seconds":1e-9}}}`
	for _, s := range []string{
		message, strings.Replace(message, `"image"`, `"revoked"`, 1),
		`{"type":"snapshot","snapshot":{"at":1,"ready":true,"qr":"2@x","qr_at":1e300,"mode":"QR"}}`,
		`{"type":"snapshot","snapshot":{"ready":true,"link_code":"ABCD1234","link_at":-1e300,"link_error":"x"}}`,
		`{"type":"snapshot","snapshot":{"ready":true,"passkey":{"rp_id":"x\u0000","challenge":"AQL_","allow_credentials":["a","<b>"],"expires":1e300}}}`,
		`{"type":"snapshot","snapshot":{"ready":true,"authenticated":true,"mode":"MAIN","main_ready":true,"online":true,"account_id":"1:2@c.us"}}`,
		`{"type":"ack","ids":["true_1@c.us_A","'"],"ack":-9}`,
		`{"type":"read","chat_id":"1@c.us"}`,
		`{"type":"edited","message_id":"true_1@c.us_A","text":"\ud800"}`,
		`{"type":"revoked","message_id":"true_1@c.us_A"}`,
		`{"type":"reaction","message_id":"true_1@c.us_A","sender_id":"1@c.us","text":"👍","t":1.5}`,
		`{"type":"typing","chat_id":"1@c.us","sender_id":"1@c.us","typing":true}`,
		`{"type":"lost"}`, `null`, `[]`, "\xff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		s, ev, err := decode(raw)
		if err != nil && (s != nil || ev != nil) {
			t.Error("an error and a result")
		}
		if s != nil {
			checkStatus(t, statusOf(*s))
		}
		switch ev := ev.(type) {
		case MessageSeen:
			checkMessage(t, ev.Message)
			storable(t, ev.Chat.Name, ev.Chat.Phone)
			if ev.Chat.ID != ev.Message.ChatID || ev.Chat.Unread < 0 || ev.Chat.ReadOnly && !ev.Chat.IsGroup {
				t.Errorf("chat %+v", ev.Chat)
			}
		case AckChanged:
			if len(ev.IDs) == 0 || ev.Ack < -1 || ev.Ack > 4 {
				t.Errorf("acks %+v", ev)
			}
			validIDs(t, ev.IDs...)
		case ChatRead:
			validChats(t, ev.ChatID)
		case MessageEdited:
			validIDs(t, ev.ID)
			storable(t, ev.Text)
		case MessageRevoked:
			validIDs(t, ev.ID)
		case ReactionSeen:
			validIDs(t, ev.MessageID)
			validChats(t, ev.SenderID)
			storable(t, ev.Emoji)
			validTime(t, ev.At)
		case TypingSeen:
			validChats(t, ev.ChatID, ev.SenderID)
		}
	})
}

// statusOf is what a person would be shown.
func statusOf(s snapshot) Status {
	e := New(Config{})
	e.apply(s)
	return e.Status()
}

func checkStatus(t *testing.T, s Status) {
	t.Helper()
	if (s.QR != nil) != (s.State == StateQR) || (s.PairingCode != nil) != (s.State == StatePairingCode) || (s.Passkey != nil) != (s.State == StatePasskeyRequired) {
		t.Errorf("status %+v", s)
	}
	if s.QR != nil {
		validTime(t, s.QR.ExpiresAt)
	}
	if s.PairingCode != nil {
		validTime(t, s.PairingCode.ExpiresAt)
	}
	if s.Passkey != nil {
		validTime(t, s.Passkey.ExpiresAt)
		storable(t, s.Passkey.RPID, s.Passkey.UserVerification)
	}
	if s.Account != nil {
		validChats(t, s.Account.ID)
		storable(t, s.Account.Name)
	}
}

func checkMessage(t *testing.T, m Message) {
	t.Helper()
	validIDs(t, m.ID)
	validChats(t, m.ChatID)
	storable(t, m.Text, m.SenderName)
	validTime(t, m.SentAt)
	if m.SenderID != "" {
		validChats(t, m.SenderID)
	}
	if m.QuotedID != "" {
		validIDs(t, m.QuotedID)
	}
	if m.Ack < -1 || m.Ack > 4 || utf8.RuneCountInString(m.Text) > maxMessageRunes || m.Deleted && (m.Text != "" || m.Media != nil) {
		t.Errorf("message %+v", m)
	}
	if f := m.Media; f != nil {
		storable(t, f.Name, f.MIMEType)
		if f.Size < 0 || f.Width < 0 || f.Height < 0 || f.Seconds < 0 || strings.ContainsAny(f.Name, "/\\\x1b\n") || f.Name == ".." {
			t.Errorf("media %+v", *f)
		}
	}
}

func storable(t *testing.T, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			t.Errorf("PostgreSQL cannot store %q", s)
		}
	}
}

func validIDs(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if !validMessageID(id) {
			t.Errorf("message id %q", id)
		}
	}
}

func validChats(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if !ValidChatID(id) {
			t.Errorf("chat id %q", id)
		}
	}
}

// validTime fails for what JSON cannot say.
func validTime(t *testing.T, at time.Time) {
	t.Helper()
	if _, err := at.MarshalJSON(); err != nil {
		t.Errorf("time: %v", err)
	}
}
