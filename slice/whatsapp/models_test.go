package whatsapp

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

func TestDecodeEvents(t *testing.T) {
	t.Parallel()
	const group, id = "120363000000000000@g.us", "false_120363000000000000@g.us_3EB0_77@lid"
	at := time.Unix(1700000000, 0).UTC()
	for raw, want := range map[string]Event{
		`{"type":"message","chat":{"id":"` + group + `","name":"Team","read_only":true},"message":{"id":"` + id + `","chat_id":"` + group + `",
			"sender_id":"77@lid","sender_name":"Carl","type":"ptt","ack":1,"t":1700000000,"quoted":"true_1@c.us_A",
			"media":{"mime_type":"audio/ogg; codecs=opus","name":"../x/y.ogg","size":12,"seconds":3.9}}}`: MessageSeen{
			Chat: Chat{ID: group, Name: "Team", IsGroup: true, ReadOnly: true},
			Message: Message{ID: id, ChatID: group, SenderID: "77@lid", SenderName: "Carl", Type: "voice", Ack: 1, SentAt: at, QuotedID: "true_1@c.us_A",
				Media: &Media{MIMEType: "audio/ogg", Name: "y.ogg", Size: 12, Seconds: 3}},
		},
		`{"type":"message","chat":{"id":"1@c.us"},"message":{"id":"x","chat_id":"1@c.us","type":"revoked","text":"gone","t":1700000000,"media":{}}}`: MessageSeen{
			Chat:    Chat{ID: "1@c.us", Phone: "+1"},
			Message: Message{ID: "x", ChatID: "1@c.us", SenderID: "1@c.us", Type: "text", SentAt: at, Deleted: true},
		},
		`{"type":"edited","message_id":"x","text":"new"}`:                                       MessageEdited{ID: "x", Text: "new"},
		`{"type":"revoked","message_id":"x"}`:                                                   MessageRevoked{ID: "x"},
		`{"type":"reaction","message_id":"x","sender_id":"1:2@c.us","text":"👍","t":1700000000}`: ReactionSeen{MessageID: "x", SenderID: "1@c.us", Emoji: "👍", At: at},
		`{"type":"typing","chat_id":"` + group + `","sender_id":"77@lid","typing":true}`:        TypingSeen{ChatID: group, SenderID: "77@lid", Typing: true},
		`{"type":"edited","message_id":"a b","text":"new"}`:                                     nil,
		`{"type":"revoked"}`: nil,
		`{"type":"reaction","message_id":"x","sender_id":"status@broadcast","text":"👍","t":1700000}`: nil,
		`{"type":"typing","chat_id":"1@newsletter","sender_id":"1@c.us"}`:                            nil,
	} {
		if _, got, err := decode(raw); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s\ngot  %+v, %v\nwant %+v", raw, got, err, want)
		}
	}
}

func TestFileNames(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a.pdf": "a.pdf", "../../etc/passwd": "passwd", `C:\x\y.doc`: "y.doc", "..": "", "/": "", "": "", "a\x00b\n.txt": "ab.txt", "ä ö.txt": "ä ö.txt",
	} {
		if got := fileName(in); got != want {
			t.Errorf("fileName(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestOutgoingThatCannotBeSentIsRefused(t *testing.T) {
	t.Parallel()
	file := func(mime string, size int) *File { return &File{Name: "x", MIMEType: mime, Data: make([]byte, size)} }
	for name, o := range map[string]Outgoing{
		"an unknown type":                    {Type: "location"},
		"a text with a file":                 {Type: "text", File: file("image/png", 1)},
		"an image without":                   {Type: "image"},
		"an empty file":                      {Type: "document", File: file("text/plain", 0)},
		"a file too large":                   {Type: "document", File: file("text/plain", MaxFileBytes+1)},
		"a page as an image":                 {Type: "image", File: file("text/html", 1)},
		"no MIME type at all":                {Type: "video", File: file("<>", 1)},
		"an image as a sticker that is none": {Type: "sticker", File: file("video/mp4", 1)},
	} {
		if _, err := newOutgoing(o); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v, want ErrRefused", name, err)
		}
	}
	m, err := newOutgoing(Outgoing{Type: "document", File: &File{Name: "a/../b.bin", MIMEType: "nonsense", Data: []byte{1}}})
	if err != nil || m.Name != "b.bin" || m.MIMEType != "application/octet-stream" {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestPairingSnapshots(t *testing.T) {
	t.Parallel()
	qr := snapshot{Ready: true, Online: true, Mode: "QR", QR: "2@x", QRIdle: true}
	with := func(f func(*snapshot)) snapshot { s := qr; f(&s); return s }
	for name, tc := range map[string]struct {
		s      snapshot
		state  State
		reason string
	}{
		"a code":         {with(func(s *snapshot) { s.LinkCode = "ABCD1234" }), StatePairingCode, ""},
		"no code at all": {with(func(s *snapshot) { s.LinkCode = "<b>" }), StateQR, ""},
		"it expired":     {with(func(s *snapshot) { s.LinkError = "expired" }), StateQR, reasonPairingExpired},
		"it failed":      {with(func(s *snapshot) { s.LinkError = "rate-overlimit" }), StateQR, reasonPairingFailed},
		"a passkey":      {with(func(s *snapshot) { s.LinkCode, s.Passkey = "ABCD1234", &pagePasskey{} }), StatePasskeyRequired, reasonPasskey},
	} {
		if state, reason := tc.s.state(); state != tc.state || reason != tc.reason {
			t.Errorf("%s: %s, %q", name, state, reason)
		}
	}
	if with(func(s *snapshot) { s.LinkCode = "ABCD1234" }).stale(time.Now()) {
		t.Error("a QR code is refreshed while a pairing code is shown")
	}
}
