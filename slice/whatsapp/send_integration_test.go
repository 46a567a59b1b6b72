//go:build integration

package whatsapp

import (
	"errors"
	"testing"

	"ipnoelp.io/platform/whatsappsim"
)

const customer = "4917012345@c.us"

func TestTextIsSentUnderTheIDChosenBefore(t *testing.T) {
	t.Parallel()
	b := setup(t, whatsappsim.Config{})
	b.link()
	const id = "true_" + customer + "_3EB0ABCDEF0123456789"
	if _, err := b.Message(t.Context(), id); !errors.Is(err, ErrNotFound) {
		t.Errorf("before it is sent: %v, want ErrNotFound", err)
	}
	sent, err := b.Send(t.Context(), Outgoing{ID: id, ChatID: customer, Type: "text", Text: `a "quoted" </script> text`})
	if err != nil {
		t.Fatal(err)
	}
	m, err := b.Message(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if sent.ID != id || m.ID != id || m.ChatID != customer || !m.FromMe || m.Type != "text" || m.Text != `a "quoted" </script> text` {
		t.Errorf("sent %+v, stored %+v", sent, m)
	}
	if _, err := b.Send(t.Context(), Outgoing{ID: id, ChatID: "4917099999@c.us", Type: "text", Text: "x"}); !errors.Is(err, ErrRefused) {
		t.Errorf("an id of another chat: %v, want ErrRefused", err)
	}
}
