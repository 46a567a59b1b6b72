//go:build integration

package campaigns

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/crm/inbox"
	"ipnoelp.io/platform/slice/whatsapp"
)

// phone takes whatever is sent.
type phone struct {
	inbox.WhatsApp // what is not asked for here
	account

	mu   sync.Mutex // guards the following fields
	sent []string
	has  map[string]whatsapp.Message
}

func (p *phone) Status() whatsapp.Status { return p.account.Status() }

func (p *phone) Chats(context.Context, int) ([]whatsapp.Chat, error) { return nil, nil }

func (p *phone) NewMessageID(_ context.Context, chatID string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("true_%s_3EB0%d", chatID, len(p.has)), nil
}

func (p *phone) Message(_ context.Context, id string) (whatsapp.Message, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, ok := p.has[id]
	if !ok {
		return m, whatsapp.ErrNotFound
	}
	return m, nil
}

func (p *phone) Send(_ context.Context, o whatsapp.Outgoing) (whatsapp.Sent, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, o.ChatID+" "+o.Text)
	p.has[o.ID] = whatsapp.Message{ID: o.ID, ChatID: o.ChatID, FromMe: true, Type: o.Type, Text: o.Text, Ack: 1, SentAt: time.Now()}
	return whatsapp.Sent{ID: o.ID, Ack: 1}, nil
}

// With the inbox's own outbox: what is scheduled and what is broadcast reaches
// WhatsApp once, restarts between included.
func TestWithInbox(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stop()
	p := &phone{has: make(map[string]whatsapp.Message)}
	b.exec(`INSERT INTO settings (key, value) VALUES ('inbox', '{"send_per_minute": 60, "broadcast_per_minute": 20}')`)
	b.people(2)
	b.exec(`INSERT INTO chats (id, name, is_group, contact_id) VALUES ('491001@c.us', 'Ana', false, 1)`)

	start := func() (stop func()) {
		log := slog.New(slog.DiscardHandler)
		bus := event.NewBus(b.pool, b.clients)
		box := inbox.NewService(inbox.Options{Store: inbox.NewStore(b.pool), WhatsApp: p, Bus: bus, Log: log})
		s := New(b.pool, bus, p, box, log)
		b.serve(s)
		box.Handle(whatsapp.StatusChanged{Status: p.Status()})
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { box.Run(ctx) })
		wg.Go(func() { s.Run(ctx) })
		return func() { cancel(); wg.Wait(); b.api.Close() }
	}
	stop := start()
	m := b.do("POST", scheduledPath, object("chat_id", "491001@c.us", "text", "later", "due_at", in(300*time.Millisecond)), 201)
	id := b.do("POST", broadcastPath, object("name", "x", "label_id", "1", "text", "Hi {{first_name}}"), 201)["id"].(string)
	b.do("POST", broadcastPath+"/"+id+"/start", "", 200)
	b.broadcast(id, "one sent", func(_, t map[string]any) bool { return t["sent"].(float64) >= 1 })
	stop()
	stop = start()
	b.scheduled(m["id"].(string), "sent")
	b.broadcast(id, "done", func(v, t map[string]any) bool { return v["status"] == "done" && t["sent"] == 2.0 })
	stop()
	stop = start()
	defer stop()
	want := []string{"491001@c.us Hi Name1", "491001@c.us later", "491002@c.us Hi Name2"}
	b.eventually(func() string {
		p.mu.Lock()
		defer p.mu.Unlock()
		got := slices.Sorted(slices.Values(p.sent))
		if !slices.Equal(got, want) {
			return fmt.Sprintf("sent %q, want %q", got, want)
		}
		return ""
	})
}
