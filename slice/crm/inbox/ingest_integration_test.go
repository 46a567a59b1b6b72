//go:build integration

package inbox

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/whatsapp"
)

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

func TestAcksOnlyRise(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run()
	b.svc.Handle(seen(message("true_49@c.us_X", true, "x", 1)))
	m := waitFor(b, func(m Message) bool { return m.Text == "x" })
	for _, ack := range []int{3, 2, 1, -1, 4} {
		b.svc.Handle(whatsapp.AckChanged{IDs: []string{"true_49@c.us_X", "unknown"}, Ack: ack})
	}
	var got []string
	for len(got) < 2 {
		got = append(got, waitFor(b, func(a Ack) bool { return a.ID == m.ID }).Ack)
	}
	if !slices.Equal(got, []string{"read", "played"}) {
		t.Errorf("acks %v", got)
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
	page, err := b.store.Messages(t.Context(), chatID, 200, nil)
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

func TestIdleServiceHoldsNoConnection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run()
	if _, err := b.store.Chats(t.Context(), Filter{}, 1, nil); err != nil {
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

func TestWhatWasErasedDoesNotComeBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(`INSERT INTO erased_chats VALUES ($1, $2)`, chatID, start.Add(time.Minute))
	b.phone.messages[chatID] = []whatsapp.Message{message("old", false, "old", 1)}
	b.phone.chats = []whatsapp.Chat{{ID: chatID, Name: "Carl", Unread: 1}}
	b.run()
	b.svc.Handle(seen(message("older", false, "older", 2)))
	b.svc.Handle(seen(message("new", false, "new", 120)))
	waitFor(b, func(m Message) bool { return m.Text == "new" })
	if got := b.list(); !slices.Equal(got, []string{"new"}) {
		t.Errorf("messages %v", got)
	}
}
