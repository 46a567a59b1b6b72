package slice

import (
	"context"
	"errors"
	"strings"
	"testing"

	"ipnoelp.io/platform/slice/crm/inbox"
	"ipnoelp.io/platform/slice/whatsapp"
	"ipnoelp.io/platform/tracing/tracingtest"
)

// fakeWhatsApp sends nothing, and fails where the text says so.
type fakeWhatsApp struct{ inbox.WhatsApp }

func (fakeWhatsApp) Send(_ context.Context, o whatsapp.Outgoing) (whatsapp.Sent, error) {
	if o.Text == "fail" {
		return whatsapp.Sent{}, errors.New("491701234567 is not at WhatsApp")
	}
	return whatsapp.Sent{ID: o.ID}, nil
}

func TestSendsAreTraced(t *testing.T) {
	if wa := (fakeWhatsApp{}); traceSends(wa, nil) != inbox.WhatsApp(wa) {
		t.Error("without traces something is in between")
	}
	for text, fails := range map[string]bool{"secret words": false, "fail": true} {
		collector := tracingtest.New(t)
		p := collector.Provider(t, "slice")
		wa := traceSends(fakeWhatsApp{}, p.Tracer())
		sent, err := wa.Send(t.Context(), whatsapp.Outgoing{ID: "id-1", ChatID: "491701234567@c.us", Type: "text", Text: text})
		if (err != nil) != fails || !fails && sent.ID != "id-1" {
			t.Errorf("%q: %+v, %v", text, sent, err)
		}
		p.Close()
		s := collector.Named(t, "whatsapp send")
		if s.Failed != fails || s.Parent != "" || s.Attributes["message.type"] != "text" {
			t.Errorf("%+v", s)
		}
		for _, personal := range []string{"491701234567", "secret words", "id-1"} {
			if strings.Contains(s.Text, personal) {
				t.Errorf("%q is in %s", personal, s.Text)
			}
		}
	}
}
