//go:build integration

package whatsapp

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"testing"
	"time"

	"ipnoelp.io/platform/whatsappsim"
)

// onePixel is a picture of one pixel.
var onePixel, _ = base64.StdEncoding.DecodeString("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")

// next returns the next event of type E that match accepts.
func next[E Event](b *bundle, match func(E) bool) E {
	b.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case ev := <-b.events:
			if e, ok := ev.(E); ok && match(e) {
				return e
			}
		case <-timeout:
			var none E
			b.t.Fatalf("no %T that fits", none)
		}
	}
}

// stored returns a message as the phone has it.
func (b *bundle) stored(chat, id string) whatsappsim.MessageInfo {
	b.t.Helper()
	list, err := b.sim.Messages(b.t.Context(), phone, chat)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, m := range list {
		if m.ID == id {
			return m
		}
	}
	b.t.Fatalf("the phone has no message %s", id)
	return whatsappsim.MessageInfo{}
}

func (b *bundle) customerWrites(text string) string {
	b.t.Helper()
	id, err := b.sim.CustomerWrites(b.t.Context(), phone, "4917012345", "Carl", text)
	if err != nil {
		b.t.Fatal(err)
	}
	next(b, func(e MessageSeen) bool { return e.Message.ID == id })
	return id
}

func TestFilesAreSentAndFetched(t *testing.T) {
	t.Parallel()
	b := setup(t, whatsappsim.Config{})
	b.link()
	question := b.customerWrites("where is it?")
	large := bytes.Repeat([]byte("0123456789abcdef"), 3*fileChunk/16+1) // three parts and a bit
	for kind, tc := range map[string]struct {
		file File
		want string // WhatsApp's type
	}{
		"image":    {File{"a.png", "image/png", onePixel}, "image"},
		"sticker":  {File{"a.png", "image/png", onePixel}, "sticker"},
		"document": {File{"../Offer ä.pdf", "application/pdf", large}, "document"},
		"audio":    {File{"a.mp3", "audio/mpeg", []byte("ID3")}, "audio"},
		"voice":    {File{"", "audio/ogg; codecs=opus", []byte("OggS")}, "ptt"},
		"video":    {File{"a.mp4", "video/mp4", []byte("ftyp")}, "video"},
	} {
		id, err := b.NewMessageID(t.Context(), customer)
		if err != nil {
			t.Fatal(err)
		}
		sent, err := b.Send(t.Context(), Outgoing{ID: id, ChatID: customer, Type: kind, Text: "here", QuotedID: question, File: &tc.file})
		if err != nil || sent.ID != id {
			t.Errorf("%s: %+v, %v", kind, sent, err)
			continue
		}
		m, err := b.Message(t.Context(), id)
		if err != nil || m.Type != kind || m.QuotedID != question || m.Media == nil || m.Media.Size == 0 {
			t.Errorf("%s: %+v, %v", kind, m, err)
		}
		if on := b.stored(customer, id); on.Type != tc.want || on.QuotedID != question {
			t.Errorf("%s: the phone has %+v", kind, on)
		}
		data, _, err := b.sim.File(t.Context(), phone, id)
		if err != nil {
			t.Fatal(err)
		}
		if kind != "sticker" && !bytes.Equal(data, tc.file.Data) { // those are made WebP
			t.Errorf("%s: the phone has %d bytes, sent were %d", kind, len(data), len(tc.file.Data))
		}
		var got bytes.Buffer
		media, err := b.Download(t.Context(), id, &got)
		if err != nil || !bytes.Equal(got.Bytes(), data) || media.Size != int64(len(data)) {
			t.Errorf("%s: %+v, %d bytes, %v", kind, media, got.Len(), err)
		}
		if kind == "document" && media.Name != "Offer ä.pdf" {
			t.Errorf("the document is called %q", media.Name)
		}
	}
	if _, err := b.Download(t.Context(), question, io.Discard); !errors.Is(err, ErrNotFound) {
		t.Errorf("the file of a text: %v, want ErrNotFound", err)
	}
}

func TestCustomersFileIsDescribedAndMayBeGone(t *testing.T) {
	t.Parallel()
	b := setup(t, whatsappsim.Config{})
	b.link()
	id, err := b.sim.CustomerSendsFile(t.Context(), phone, whatsappsim.CustomerMessage{From: "4917012345", FromName: "Carl", Text: "look"},
		whatsappsim.CustomerFile{Type: "image", MIMEType: "image/png", Data: onePixel})
	if err != nil {
		t.Fatal(err)
	}
	m := next(b, func(e MessageSeen) bool { return e.Message.ID == id }).Message
	if m.Type != "image" || m.Text != "look" || m.Media == nil || m.Media.MIMEType != "image/png" || m.Media.Size != int64(len(onePixel)) {
		t.Errorf("message %+v, media %+v", m, m.Media)
	}
	if err := b.sim.Fault(t.Context(), phone, whatsappsim.FaultMediaGone); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Download(t.Context(), id, io.Discard); !errors.Is(err, ErrNotFound) {
		t.Errorf("a file that is gone: %v, want ErrNotFound", err)
	}
}

func TestReactionsEditsAndDeletionsBothWays(t *testing.T) {
	t.Parallel()
	b := setup(t, whatsappsim.Config{})
	b.link()
	ctx := t.Context()
	theirs := b.customerWrites("helo")
	sent, err := b.Send(ctx, Outgoing{ChatID: customer, Type: "text", Text: "hi"})
	if err != nil {
		t.Fatal(err)
	}

	if err := b.sim.CustomerReacts(ctx, phone, "4917012345", sent.ID, "👍"); err != nil {
		t.Fatal(err)
	}
	if e := next(b, func(e ReactionSeen) bool { return e.MessageID == sent.ID }); e.Emoji != "👍" || e.SenderID != customer || time.Since(e.At).Abs() > time.Hour {
		t.Errorf("reaction %+v", e)
	}
	if err := b.sim.CustomerEdits(ctx, phone, theirs, "hello"); err != nil {
		t.Fatal(err)
	}
	if e := next(b, func(e MessageEdited) bool { return e.ID == theirs }); e.Text != "hello" {
		t.Errorf("edited %+v", e)
	}
	if m, err := b.Message(ctx, theirs); err != nil || !m.Edited || m.Text != "hello" {
		t.Errorf("%+v, %v", m, err)
	}

	if err := b.React(ctx, theirs, "❤️"); err != nil {
		t.Fatal(err)
	}
	if on := b.stored(customer, theirs); len(on.Reactions) != 1 || on.Reactions[0].Emoji != "❤️" || !on.Reactions[0].FromMe {
		t.Errorf("the phone has %+v", on.Reactions)
	}
	if err := b.React(ctx, theirs, ""); err != nil {
		t.Fatal(err)
	}
	if on := b.stored(customer, theirs); len(on.Reactions) != 0 {
		t.Errorf("the phone has %+v", on.Reactions)
	}
	if err := b.Edit(ctx, sent.ID, "hi!"); err != nil {
		t.Fatal(err)
	}
	if on := b.stored(customer, sent.ID); on.Text != "hi!" || !on.Edited {
		t.Errorf("the phone has %+v", on)
	}
	for what, err := range map[string]error{"edit": b.Edit(ctx, theirs, "x"), "delete": b.Delete(ctx, theirs)} {
		if !errors.Is(err, ErrRefused) {
			t.Errorf("%s somebody else's message: %v, want ErrRefused", what, err)
		}
	}
	if on := b.stored(customer, theirs); on.Type != "chat" {
		t.Errorf("somebody else's message became %+v", on)
	}
	for range 2 { // the second time changes nothing
		if err := b.Delete(ctx, sent.ID); err != nil {
			t.Fatal(err)
		}
	}
	if on := b.stored(customer, sent.ID); on.Type != "revoked" {
		t.Errorf("the phone has %+v", on)
	}
	if m, err := b.Message(ctx, sent.ID); err != nil || !m.Deleted || m.Text != "" {
		t.Errorf("%+v, %v", m, err)
	}
	if err := b.sim.CustomerDeletes(ctx, phone, theirs); err != nil {
		t.Fatal(err)
	}
	next(b, func(e MessageRevoked) bool { return e.ID == theirs })
	if err := b.React(ctx, "true_"+customer+"_NONE", "👍"); !errors.Is(err, ErrNotFound) {
		t.Errorf("react to nothing: %v, want ErrNotFound", err)
	}
}

func TestTypingAndReadMarks(t *testing.T) {
	t.Parallel()
	b := setup(t, whatsappsim.Config{})
	b.link()
	b.customerWrites("hello")
	for _, typing := range []bool{true, false} {
		if err := b.sim.CustomerTypes(t.Context(), phone, "4917012345", customer, typing); err != nil {
			t.Fatal(err)
		}
		if e := next(b, func(TypingSeen) bool { return true }); e != (TypingSeen{customer, customer, typing}) {
			t.Errorf("typing %+v", e)
		}
		if err := b.SetTyping(t.Context(), customer, typing); err != nil {
			t.Error(err)
		}
	}
	if err := b.MarkRead(t.Context(), customer); err != nil {
		t.Fatal(err)
	}
	next(b, func(e ChatRead) bool { return e.ChatID == customer })
	if err := b.MarkRead(t.Context(), "4917099999@c.us"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a chat that is none: %v, want ErrNotFound", err)
	}
}

func TestGroupsAreReadAndWritten(t *testing.T) {
	t.Parallel()
	b := setup(t, whatsappsim.Config{})
	b.link()
	group, err := b.sim.CreateGroup(t.Context(), phone, "Team", whatsappsim.GroupMember{Phone: "4917012345", Name: "Carl"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := b.sim.CustomerSends(t.Context(), phone, whatsappsim.CustomerMessage{From: "4917012345", FromName: "Carl", Text: "hello all", Group: group})
	if err != nil {
		t.Fatal(err)
	}
	e := next(b, func(e MessageSeen) bool { return e.Message.ID == id })
	if e.Chat.ID != group || !e.Chat.IsGroup || e.Chat.ReadOnly || e.Chat.Name != "Team" || e.Message.SenderName != "Carl" || e.Message.SenderID == group || e.Message.SenderID == "" {
		t.Errorf("chat %+v, message %+v", e.Chat, e.Message)
	}
	out, err := b.NewMessageID(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	sent, err := b.Send(t.Context(), Outgoing{ID: out, ChatID: group, Type: "text", Text: "hello Carl", QuotedID: id})
	if err != nil || sent.ID != out {
		t.Fatalf("%+v, %v", sent, err)
	}
	if m, err := b.Message(t.Context(), out); err != nil || m.ChatID != group || m.QuotedID != id || !m.FromMe {
		t.Errorf("%+v, %v", m, err)
	}
	if err := b.sim.CustomerTypes(t.Context(), phone, "4917012345", group, true); err != nil {
		t.Fatal(err)
	}
	if e := next(b, func(TypingSeen) bool { return true }); e.ChatID != group || e.SenderID == group || !e.Typing {
		t.Errorf("typing %+v", e)
	}
}

func TestProfilesAndPictures(t *testing.T) {
	t.Parallel()
	b := setup(t, whatsappsim.Config{})
	b.link()
	id, err := b.sim.CustomerSends(t.Context(), phone, whatsappsim.CustomerMessage{
		From: "4917012345", FromName: "Carl", Text: "hi", LID: true, Business: true, Picture: true, SavedAs: "Carl (plumber)"})
	if err != nil {
		t.Fatal(err)
	}
	chat := next(b, func(e MessageSeen) bool { return e.Message.ID == id }).Chat
	if chat.Phone != "+4917012345" {
		t.Errorf("chat %+v", chat)
	}
	p, err := b.Profile(t.Context(), chat.ID)
	if want := (Profile{ID: chat.ID, Phone: "+4917012345", Name: "Carl (plumber)", PushName: "Carl", IsBusiness: true}); err != nil || p != want {
		t.Errorf("%+v, %v; want %+v", p, err, want)
	}
	picture, err := b.Picture(t.Context(), chat.ID)
	if err != nil || picture == nil || picture.MIMEType != "image/png" || len(picture.Data) == 0 {
		t.Errorf("picture %v, %v", picture, err)
	}
	if _, err := b.Profile(t.Context(), "4917099999@c.us"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a stranger: %v, want ErrNotFound", err)
	}
	if picture, err := b.Picture(t.Context(), "4917099999@c.us"); err != nil || picture != nil {
		t.Errorf("a stranger's picture: %v, %v", picture, err)
	}
}
