//go:build integration

package inbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/database/databasetest"
	"ipnoelp.io/platform/slice/whatsapp"
)

const (
	patience = 10 * time.Second
	chatID   = "4917012345@c.us"
)

// phone plays WhatsApp: a list of chats and messages, and what is done with a
// text that is handed over.
type phone struct {
	mu       sync.Mutex // guards the following fields
	state    whatsapp.State
	chats    []whatsapp.Chat
	messages map[string][]whatsapp.Message
	send     func(chatID, text string) (whatsapp.Sent, error)
	sent     []string
}

func (p *phone) Status() whatsapp.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return whatsapp.Status{State: p.state, Account: &whatsapp.Account{ID: "4915112345678@c.us", Name: "Ana"}}
}
func (p *phone) Look(context.Context) whatsapp.Status { return p.Status() }
func (p *phone) Logout(context.Context) error         { return nil }
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
func (p *phone) Send(_ context.Context, o whatsapp.Outgoing) (whatsapp.Sent, error) {
	p.mu.Lock()
	send := p.send
	p.sent = append(p.sent, o.Text)
	p.mu.Unlock()
	return send(o.ChatID, o.Text)
}

// clients notes what is published.
type clients struct{ events chan any }

func (c *clients) Publish(_ string, payload any) { c.events <- payload }

type bundle struct {
	t     *testing.T
	store *Store
	phone *phone
	pub   *clients
	svc   *Service
}

func setup(t *testing.T) *bundle {
	t.Helper()
	store := newStore(t)
	b := &bundle{t: t, store: store, pub: &clients{make(chan any, 10_000)}, phone: &phone{
		state: whatsapp.StateReady, messages: map[string][]whatsapp.Message{},
		send: func(_, text string) (whatsapp.Sent, error) { return whatsapp.Sent{ID: "true_" + text, Ack: 1}, nil },
	}}
	b.svc = NewService(store, b.phone, b.pub, slog.New(slog.NewTextHandler(t.Output(), nil)), time.Hour)
	return b
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
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); b.svc.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	b.t.Cleanup(stop)
	return stop
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
	page, err := b.svc.Messages(b.t.Context(), chatID, 100, "")
	if err != nil && platform.CodeOf(err) != platform.ErrNotFound {
		b.t.Fatal(err)
	}
	for _, m := range page.Messages {
		texts = append(texts, m.Text)
	}
	return texts
}

func TestMigrateTwiceAtOnceAndAgain(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	errs := make(chan error, 2)
	for range 2 {
		go func() { errs <- database.Migrate(t.Context(), store.pool) }()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if err := database.Migrate(t.Context(), store.pool); err != nil {
		t.Error(err)
	}
}

func TestEventOfASentMessageBeforeAndAfterItsAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	// WhatsApp reports the message before it answers, as it really does.
	var n int // sends come one at a time
	b.phone.send = func(_, text string) (whatsapp.Sent, error) {
		n++
		id := fmt.Sprintf("true_%d", n)
		b.svc.Handle(seen(message(id, true, text, 5)))
		b.svc.Handle(whatsapp.AckChanged{IDs: []string{id}, Ack: 2})
		return whatsapp.Sent{ID: id, Ack: 1}, nil
	}
	b.run()
	b.svc.Handle(seen(message("in1", false, "hi", 1)))
	waitFor(b, func(m Message) bool { return m.Text == "hi" })
	for _, text := range []string{"one", "two", "two"} { // the same text twice is two messages
		key := rand.Text()
		m, err := b.svc.Send(t.Context(), chatID, text, &key)
		if err != nil {
			t.Fatal(err)
		}
		if m.Ack != "pending" {
			t.Errorf("ack %s", m.Ack)
		}
		waitFor(b, func(a Ack) bool { return a.ID == m.ID && a.Ack == "delivered" })
	}
	if got := b.list(); !slices.Equal(got, []string{"hi", "one", "two", "two"}) {
		t.Errorf("messages %v", got)
	}
}

func TestSendThatFailsAndWasSentAllTheSame(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.phone.send = func(string, string) (whatsapp.Sent, error) { return whatsapp.Sent{}, errors.New("timeout") }
	b.run()
	b.svc.Handle(seen(message("in1", false, "hi", 1)))
	waitFor(b, func(m Message) bool { return m.Text == "hi" })
	m, err := b.svc.Send(t.Context(), chatID, "answer", nil)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(b, func(a Ack) bool { return a.ID == m.ID && a.Ack == "failed" })
	// Then WhatsApp reports it: it is this message, not another one.
	late := message("true_late", true, "answer", 0)
	late.SentAt = m.SentAt.Add(3 * time.Second)
	b.svc.Handle(seen(late))
	waitFor(b, func(a Ack) bool { return a.ID == m.ID && a.Ack == "sent" })
	b.svc.Handle(seen(late))
	b.svc.Handle(whatsapp.AckChanged{IDs: []string{"true_late"}, Ack: 3})
	waitFor(b, func(a Ack) bool { return a.ID == m.ID && a.Ack == "read" })
	if got := b.list(); !slices.Equal(got, []string{"hi", "answer"}) {
		t.Errorf("messages %v", got)
	}
}

func TestAcksOnlyRise(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run()
	b.svc.Handle(seen(message("true_x", true, "x", 1)))
	m := waitFor(b, func(m Message) bool { return m.Text == "x" })
	for _, ack := range []int{3, 2, 1, -1, 4} {
		b.svc.Handle(whatsapp.AckChanged{IDs: []string{"true_x", "unknown"}, Ack: ack})
	}
	var got []string
	for len(got) < 2 {
		got = append(got, waitFor(b, func(a Ack) bool { return a.ID == m.ID }).Ack)
	}
	if !slices.Equal(got, []string{"read", "played"}) {
		t.Errorf("acks %v", got)
	}
}

func TestSendIsIdempotentAlsoAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run()
	b.svc.Handle(seen(message("in1", false, "hi", 1)))
	waitFor(b, func(m Message) bool { return m.Text == "hi" })
	key := "k1"
	ids := make(chan string, 10)
	for range 10 {
		go func() {
			m, err := b.svc.Send(context.Background(), chatID, "once", &key)
			if err != nil {
				ids <- err.Error()
				return
			}
			ids <- m.ID
		}()
	}
	first := <-ids
	for range 9 {
		if id := <-ids; id != first {
			t.Errorf("ids %s and %s", first, id)
		}
	}
	waitFor(b, func(a Ack) bool { return a.ID == first && a.Ack == "sent" })
	if _, err := b.svc.Send(t.Context(), chatID, "other", &key); platform.CodeOf(err) != platform.ErrConflict {
		t.Errorf("the key for another text: %v", err)
	}
	if _, err := b.svc.Send(t.Context(), "49@c.us", "x", nil); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("unknown chat: %v", err)
	}
	b.phone.mu.Lock()
	b.phone.state = whatsapp.StateOffline
	b.phone.mu.Unlock()
	if _, err := b.svc.Send(t.Context(), chatID, "x", nil); platform.CodeOf(err) != platform.ErrConflict {
		t.Errorf("while offline: %v", err)
	}
	b.phone.mu.Lock()
	defer b.phone.mu.Unlock()
	if len(b.phone.sent) != 1 {
		t.Errorf("sent %v", b.phone.sent)
	}
}

func TestWhatWaitedWhenTheSliceDied(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := database.Migrate(t.Context(), b.store.pool); err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.SaveMessages(t.Context(), whatsapp.Chat{ID: chatID}, []whatsapp.Message{message("in1", false, "hi", 1)}, live); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	add := func(text string, age time.Duration) Message {
		m, _, _, err := b.store.AddOutgoing(t.Context(), chatID, text, "me", "", nil, now.Add(-age))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	attempted := add("attempted", time.Minute)
	if next, err := b.store.NextOutgoing(t.Context(), now.Add(-3*time.Minute)); err != nil || next == nil {
		t.Fatal(next, err)
	}
	tooOld := add("too old", time.Hour)
	waiting := add("waiting", time.Second)
	b.svc = NewService(b.store, b.phone, b.pub, slog.New(slog.DiscardHandler), 50*time.Millisecond)
	b.run()
	acks := map[string]string{}
	for len(acks) < 3 {
		a := waitFor(b, func(Ack) bool { return true })
		acks[a.ID] = a.Ack
	}
	// What was attempted may have been sent: it is not sent again.
	want := map[string]string{attempted.ID: "failed", tooOld.ID: "failed", waiting.ID: "sent"}
	if fmt.Sprint(acks) != fmt.Sprint(want) {
		t.Errorf("acks %v, want %v", acks, want)
	}
	b.phone.mu.Lock()
	defer b.phone.mu.Unlock()
	if !slices.Equal(b.phone.sent, []string{"waiting"}) {
		t.Errorf("sent %v", b.phone.sent)
	}
}

func TestComparisonFetchesWhatIsMissing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	// A chat that is new: its history is taken over with WhatsApp's count.
	history := []whatsapp.Message{message("a", false, "a", 1), message("b", true, "b", 2), message("c", false, "c", 3)}
	b.phone.messages[chatID] = history
	b.phone.chats = []whatsapp.Chat{{ID: chatID, Name: "Carl", Unread: 1}}
	b.run()
	b.svc.Handle(whatsapp.StatusChanged{Status: b.phone.Status()})
	c := waitFor(b, func(c Chat) bool { return c.LastMessage != nil && c.LastMessage.Text == "c" })
	if c.Unread != 1 || c.Name != "Carl" {
		t.Errorf("chat %+v", c)
	}
	// More than one page was missed; each message counts, up to what was answered.
	b.phone.mu.Lock()
	for i := range pageSize * 2 {
		b.phone.messages[chatID] = append(b.phone.messages[chatID], message(fmt.Sprintf("m%d", i), false, fmt.Sprintf("m%d", i), 10+i))
	}
	b.phone.mu.Unlock()
	b.svc.Handle(whatsapp.EventsLost{})
	waitFor(b, func(m Message) bool { return m.Text == "m0" })
	page, err := b.svc.Messages(t.Context(), chatID, 200, "")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(page.Messages); n != 3+2*pageSize {
		t.Errorf("%d messages, want %d", n, 3+2*pageSize)
	}
}

func TestCiphertextFirstAndCountsOfLiveMessages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run()
	cipher := message("x", false, "", 1)
	cipher.Type = whatsapp.TypeCiphertext
	b.svc.Handle(seen(cipher))
	first := waitFor(b, func(m Message) bool { return m.Type == whatsapp.TypeCiphertext })
	b.svc.Handle(seen(message("x", false, "clear", 1)))
	second := waitFor(b, func(m Message) bool { return m.Text == "clear" })
	if first.ID != second.ID || second.Type != "text" {
		t.Errorf("%+v, then %+v", first, second)
	}
	b.svc.Handle(seen(cipher)) // comes late: the text stays
	b.svc.Handle(seen(message("y", false, "y", 2)))
	c := waitFor(b, func(c Chat) bool { return c.LastMessage.Text == "y" })
	if c.Unread != 2 {
		t.Errorf("%d unread, want 2", c.Unread)
	}
	b.svc.Handle(whatsapp.ChatRead{ChatID: chatID})
	waitFor(b, func(c Chat) bool { return c.Unread == 0 })
	b.svc.Handle(whatsapp.ChatRead{ChatID: "49@c.us"}) // of a chat that is not there
	b.svc.Handle(seen(message("z", false, "z", 3)))
	waitFor(b, func(c Chat) bool { return c.Unread == 1 })
	b.svc.Handle(seen(message("true_z", true, "answered on the phone", 4)))
	waitFor(b, func(c Chat) bool { return c.Unread == 0 })
	if got := b.list(); !slices.Equal(got, []string{"clear", "y", "z", "answered on the phone"}) {
		t.Errorf("messages %v", got)
	}
}

func TestPagesOfChatsAndMessages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run()
	const chats = 7
	for i := range chats {
		id := fmt.Sprintf("49%d@c.us", i)
		m := message("m"+id, false, "x", i/2) // some at the same second
		m.ChatID = id
		messages := []whatsapp.Message{m}
		if i == 0 {
			messages = nil
		}
		if _, err := b.store.SaveMessages(t.Context(), whatsapp.Chat{ID: id}, messages, history); err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	for cursor := ""; ; {
		page, err := b.svc.Chats(t.Context(), 3, cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Chats {
			ids = append(ids, c.ID)
		}
		if page.NextCursor == nil {
			break
		}
		cursor = *page.NextCursor
	}
	if want := []string{"496@c.us", "495@c.us", "494@c.us", "493@c.us", "492@c.us", "491@c.us", "490@c.us"}; !slices.Equal(ids, want) {
		t.Errorf("chats %v, want %v", ids, want)
	}
	var list []whatsapp.Message
	for i := range 7 {
		list = append(list, message(fmt.Sprint("p", i), false, fmt.Sprint(i), 100+i/3))
	}
	if _, err := b.store.SaveMessages(t.Context(), whatsapp.Chat{ID: chatID}, list, history); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for cursor := ""; ; {
		page, err := b.svc.Messages(t.Context(), chatID, 3, cursor)
		if err != nil {
			t.Fatal(err)
		}
		var texts2 []string
		for _, m := range page.Messages {
			texts2 = append(texts2, m.Text)
		}
		texts = append(texts2, texts...)
		if page.NextCursor == nil {
			break
		}
		cursor = *page.NextCursor
	}
	if got := strings.Join(texts, ""); got != "0123456" {
		t.Errorf("messages %s", got)
	}
	chatsPage, err := b.svc.Chats(t.Context(), 1, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.svc.Messages(t.Context(), chatID, 3, *chatsPage.NextCursor); platform.CodeOf(err) != platform.ErrInvalid {
		t.Errorf("a cursor of chats for messages: %v", err)
	}
}

func TestIdleServiceHoldsNoConnection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run()
	if _, err := b.svc.Chats(t.Context(), 1, ""); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(database.MaxConnIdle + 3*database.ConnCheckInterval)
	for b.store.pool.Stat().TotalConns() > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are still open", b.store.pool.Stat().TotalConns())
		}
		<-time.After(100 * time.Millisecond)
	}
}
