//go:build integration

package inbox

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/database/databasetest"
	"ipnoelp.io/platform/slice/whatsapp"
)

const (
	patience = 20 * time.Second // for what takes milliseconds on an idle machine
	chatID   = "4917012345@c.us"
)

// phone plays WhatsApp: a list of chats and messages, and what is done with a
// message that is handed over.
type phone struct {
	mu       sync.Mutex // guards the following fields
	state    whatsapp.State
	chats    []whatsapp.Chat
	messages map[string][]whatsapp.Message
	has      map[string]whatsapp.Message                      // that were sent, by id
	send     func(o whatsapp.Outgoing) (whatsapp.Sent, error) // nil sends
	sent     []string                                         // what Send was given
	changes  []string                                         // what else was asked for
	change   error                                            // how that ends
	ids      int
}

func (p *phone) Status() whatsapp.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return whatsapp.Status{State: p.state, Account: &whatsapp.Account{ID: "4915112345678@c.us", Name: "Ana"}}
}

func (p *phone) setState(s whatsapp.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = s
}

func (p *phone) Chats(_ context.Context, count int) ([]whatsapp.Chat, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.chats[:min(count, len(p.chats))]), nil
}

func (p *phone) Messages(_ context.Context, chatID string, count int, before string) ([]whatsapp.Message, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.messages[chatID]
	if before != "" {
		list = list[:slices.IndexFunc(list, func(m whatsapp.Message) bool { return m.ID == before })]
	}
	return slices.Clone(list[max(0, len(list)-count):]), nil
}

func (p *phone) NewMessageID(_ context.Context, chatID string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ids++
	return fmt.Sprintf("true_%s_3EB0%d", chatID, p.ids), nil
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

// take is what WhatsApp does with a message.
func (p *phone) take(o whatsapp.Outgoing, ack int) whatsapp.Sent {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.has[o.ID] = whatsapp.Message{ID: o.ID, ChatID: o.ChatID, FromMe: true, Type: o.Type, Text: o.Text, Ack: ack, SentAt: time.Now()}
	return whatsapp.Sent{ID: o.ID, Ack: ack}
}

func (p *phone) Send(_ context.Context, o whatsapp.Outgoing) (whatsapp.Sent, error) {
	p.mu.Lock()
	send := p.send
	p.sent = append(p.sent, o.Text)
	p.mu.Unlock()
	if send != nil {
		return send(o)
	}
	return p.take(o, 1), nil
}

func (p *phone) handed() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.sent)
}

func (p *phone) note(format string, args ...any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes = append(p.changes, fmt.Sprintf(format, args...))
	return p.change
}

func (p *phone) React(_ context.Context, id, emoji string) error {
	return p.note("react %s %s", id, emoji)
}
func (p *phone) Edit(_ context.Context, id, text string) error { return p.note("edit %s %s", id, text) }
func (p *phone) Delete(_ context.Context, id string) error     { return p.note("delete %s", id) }
func (p *phone) MarkRead(_ context.Context, chat string) error { return p.note("read %s", chat) }
func (p *phone) SetTyping(_ context.Context, chat string, on bool) error {
	return p.note("typing %s %t", chat, on)
}

// clients notes what is published.
type clients struct{ events chan any }

func (c *clients) Publish(_ string, payload any) { c.events <- payload }

type bundle struct {
	t     *testing.T
	store *Store
	phone *phone
	pub   *clients
	bus   *event.Bus
	svc   *Service
}

func setup(t *testing.T) *bundle {
	t.Helper()
	store := newStore(t)
	b := &bundle{t: t, store: store, pub: &clients{make(chan any, 10_000)}, phone: &phone{
		state: whatsapp.StateReady, messages: map[string][]whatsapp.Message{}, has: map[string]whatsapp.Message{},
	}}
	b.bus = event.NewBus(store.pool, b.pub)
	b.bus.Webhooks(func(string) bool { return false }, func() {})
	b.svc = b.service(time.Hour)
	return b
}

// service is one process.
func (b *bundle) service(reconcileEvery time.Duration) *Service {
	s := NewService(Options{Store: b.store, WhatsApp: b.phone, Files: files{}, Bus: b.bus,
		Log: slog.New(slog.NewTextHandler(b.t.Output(), nil)), ReconcileEvery: reconcileEvery})
	s.Handle(whatsapp.StatusChanged{Status: b.phone.Status()})
	s.account.Store(b.phone.Status().Account)
	return s
}

// files has one for each id.
type files struct{}

func (files) Read(_ context.Context, id int64) (whatsapp.File, error) {
	return whatsapp.File{Name: fmt.Sprint(id), MIMEType: "image/png", Data: []byte("x")}, nil
}

func newStore(t *testing.T) *Store {
	t.Helper()
	pool, err := database.Open(databasetest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := database.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	return NewStore(pool)
}

// run runs the service until the returned function is called.
func (b *bundle) run() (stop func()) {
	b.t.Helper()
	svc := b.svc
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); svc.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	b.t.Cleanup(stop)
	return stop
}

// enqueue puts a message in the outbox.
func (b *bundle) enqueue(d Draft) (m Message, err error) {
	if d.ChatID == "" {
		d.ChatID = chatID
	}
	if d.Type == "" {
		d.Type = "text"
	}
	if d.Source == "" {
		d.Source = SourceUser
	}
	err = b.bus.Transact(context.Background(), func(tx *event.Tx) (err error) {
		m, err = b.svc.Enqueue(context.Background(), tx, d)
		return err
	})
	return m, err
}

func (b *bundle) send(text string) Message {
	b.t.Helper()
	m, err := b.enqueue(Draft{Text: text})
	if err != nil {
		b.t.Fatal(err)
	}
	return m
}

// greeted has a customer write, so that there is a chat.
func (b *bundle) greeted() {
	b.t.Helper()
	b.svc.Handle(seen(message("in1", false, "hi", 1)))
	waitFor(b, func(m Message) bool { return m.Text == "hi" })
}

func (b *bundle) exec(sql string, args ...any) {
	b.t.Helper()
	if _, err := b.store.pool.Exec(b.t.Context(), sql, args...); err != nil {
		b.t.Fatal(err)
	}
}

// waitFor returns the next published value of type T that match accepts.
func waitFor[T any](b *bundle, match func(T) bool) T {
	b.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e := <-b.pub.events:
			if v, ok := e.(T); ok && match(v) {
				return v
			}
		case <-timeout:
			b.t.Fatalf("no %T", *new(T))
		}
	}
}

// start is before everything that the tests send now.
var start = time.Now().UTC().Add(-time.Hour).Truncate(time.Second)

func message(id string, fromMe bool, text string, second int) whatsapp.Message {
	return whatsapp.Message{ID: id, ChatID: chatID, FromMe: fromMe, SenderID: chatID, Type: "text", Text: text, Ack: 1, SentAt: start.Add(time.Duration(second) * time.Second)}
}

func seen(m whatsapp.Message) whatsapp.Event {
	return whatsapp.MessageSeen{Chat: whatsapp.Chat{ID: chatID, Name: "Carl", Phone: "+4917012345"}, Message: m}
}

// list returns the texts of the chat in the order of the API.
func (b *bundle) list() (texts []string) {
	b.t.Helper()
	page, err := b.store.Messages(b.t.Context(), chatID, 100, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, m := range page.Messages {
		texts = append(texts, m.Text)
	}
	return texts
}

// until waits for a condition, and does something between two looks.
func (b *bundle) until(condition func() bool, between func()) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			b.t.Fatal("not in time")
		}
		if between != nil {
			between()
		}
		<-time.After(5 * time.Millisecond)
	}
}

func number(t *testing.T, id string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
