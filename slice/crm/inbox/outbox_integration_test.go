//go:build integration

package inbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/whatsapp"
)

func TestEventOfASentMessageBeforeAndAfterItsAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	// WhatsApp reports the message before it answers, as it really does.
	b.phone.send = func(o whatsapp.Outgoing) (whatsapp.Sent, error) {
		sent := b.phone.take(o, 1)
		b.svc.Handle(seen(message(o.ID, true, o.Text, 5)))
		b.svc.Handle(whatsapp.AckChanged{IDs: []string{o.ID}, Ack: 2})
		return sent, nil
	}
	b.run()
	b.greeted()
	for _, text := range []string{"one", "two", "two"} { // the same text twice is two messages
		key := rand.Text()
		m, err := b.enqueue(Draft{Text: text, ClientID: &key})
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

func TestSendIsIdempotentAlsoAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run()
	b.greeted()
	key := "k1"
	ids := make(chan string, 10)
	for range 10 {
		go func() {
			m, err := b.enqueue(Draft{Text: "once", ClientID: &key})
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
	if _, err := b.enqueue(Draft{Text: "other", ClientID: &key}); platform.CodeOf(err) != platform.ErrConflict {
		t.Errorf("the key for another text: %v", err)
	}
	if _, err := b.enqueue(Draft{Text: "x", ChatID: "49@c.us"}); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("unknown chat: %v", err)
	}
	b.svc.account.Store(nil)
	if _, err := b.enqueue(Draft{Text: "x"}); platform.CodeOf(err) != platform.ErrConflict {
		t.Errorf("without a phone: %v", err)
	}
	if sent := b.phone.handed(); len(sent) != 1 {
		t.Errorf("sent %v", sent)
	}
}

// A process that dies at any point of sending leaves a row from which the next
// one finds out what happened: nothing is sent twice, nothing is lost.
func TestNothingIsLostOrDoubledByACrash(t *testing.T) {
	t.Parallel()
	for name, dies := range map[string]func(b *bundle, o whatsapp.Outgoing){
		"before WhatsApp had it": func(*bundle, whatsapp.Outgoing) {},
		"after WhatsApp had it":  func(b *bundle, o whatsapp.Outgoing) { b.phone.take(o, 1) },
		"while WhatsApp queued":  func(b *bundle, o whatsapp.Outgoing) { b.phone.take(o, 0) },
		"after WhatsApp failed":  func(b *bundle, o whatsapp.Outgoing) { b.phone.take(o, -1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			begun := make(chan struct{})
			b.phone.send = func(o whatsapp.Outgoing) (whatsapp.Sent, error) {
				dies(b, o)
				close(begun)
				return whatsapp.Sent{}, context.Canceled
			}
			stop := b.run()
			b.greeted()
			m := b.send("answer")
			<-begun
			stop()
			b.exec(`UPDATE messages SET next_attempt_at = NULL`) // no matter whether the first process had the time to put it off

			b.phone.mu.Lock()
			b.phone.send = nil
			b.phone.mu.Unlock()
			b.svc = b.service(time.Hour)
			b.run()
			want := "sent"
			if name == "while WhatsApp queued" {
				want = "pending"
			}
			waitFor(b, func(a Ack) bool { return a.ID == m.ID && a.Ack == want })
			there := 0
			b.phone.mu.Lock()
			for _, has := range b.phone.has {
				if has.Ack >= 0 {
					there++
				}
			}
			b.phone.mu.Unlock()
			if there != 1 {
				t.Errorf("WhatsApp has it %d times", there)
			}
			if got := b.list(); !slices.Equal(got, []string{"hi", "answer"}) {
				t.Errorf("messages %v", got)
			}
		})
	}
}

func TestFailuresAreTriedAgainAndThenSeen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tries := 0
	b.phone.send = func(o whatsapp.Outgoing) (whatsapp.Sent, error) {
		if tries++; tries < 3 {
			return whatsapp.Sent{}, errors.New("network")
		}
		return b.phone.take(o, 1), nil
	}
	b.run()
	b.greeted()
	m := b.send("third time lucky")
	// What waits for its time is due at once.
	hurry := func() {
		b.exec(`UPDATE messages SET next_attempt_at = NULL WHERE outbox IS NOT NULL`)
		b.svc.wakeOutbox()
	}
	b.until(func() bool { return len(b.phone.handed()) == 1 }, nil)
	b.until(func() bool { return len(b.phone.handed()) == 3 }, hurry)
	waitFor(b, func(a Ack) bool { return a.ID == m.ID && a.Ack == "sent" })
	b.phone.mu.Lock()
	b.phone.send = func(whatsapp.Outgoing) (whatsapp.Sent, error) { return whatsapp.Sent{}, errors.New("network") }
	b.phone.mu.Unlock()
	m = b.send("never")
	var failed *Ack
	b.until(func() bool {
		select {
		case e := <-b.pub.events:
			if a, ok := e.(Ack); ok && a.ID == m.ID {
				failed = &a
			}
		default:
		}
		return failed != nil
	}, hurry)
	if failed.Ack != "failed" || failed.Failure != failureTries {
		t.Errorf("%+v", failed)
	}
	if n := len(b.phone.handed()); n != 3+1+len(retryAfter) {
		t.Errorf("handed over %d times", n)
	}
	// A person may try it once more; it is looked up first, and goes.
	b.phone.mu.Lock()
	b.phone.send = nil
	b.phone.mu.Unlock()
	id := m.ID
	again, err := b.svc.Retry(t.Context(), number(t, id))
	if err != nil || again.Ack != "pending" || again.Failure != "" {
		t.Errorf("%+v, %v", again, err)
	}
	waitFor(b, func(a Ack) bool { return a.ID == id && a.Ack == "sent" })
	if _, err := b.svc.Retry(t.Context(), number(t, id)); platform.CodeOf(err) != platform.ErrConflict {
		t.Errorf("retry of a sent message: %v", err)
	}
}

func TestRefusedIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.phone.send = func(whatsapp.Outgoing) (whatsapp.Sent, error) {
		return whatsapp.Sent{}, fmt.Errorf("%w: blocked", whatsapp.ErrRefused)
	}
	b.run()
	b.greeted()
	m := b.send("no")
	a := waitFor(b, func(a Ack) bool { return a.ID == m.ID })
	if a.Ack != "failed" || a.Failure != failureRefused || len(b.phone.handed()) != 1 {
		t.Errorf("%+v after %v", a, b.phone.handed())
	}
}

func TestWhatIsWrittenOfflineWaits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run()
	b.greeted()
	b.phone.setState(whatsapp.StateOffline)
	waits, expired := b.send("waits"), b.send("too late")
	b.exec(`UPDATE messages SET expires_at = now() WHERE id = $1`, number(t, expired.ID))
	b.svc.wakeOutbox()
	waitFor(b, func(a Ack) bool { return a.ID == expired.ID && a.Ack == "failed" && a.Failure == failureExpired })
	b.phone.setState(whatsapp.StateReady)
	b.svc.Handle(whatsapp.StatusChanged{Status: b.phone.Status()})
	waitFor(b, func(a Ack) bool { return a.ID == waits.ID && a.Ack == "sent" })
	if got := b.phone.handed(); !slices.Equal(got, []string{"waits"}) {
		t.Errorf("handed over %v", got)
	}
	// The end of the link ends what waits for it.
	b.phone.setState(whatsapp.StateOffline)
	m := b.send("for nobody")
	b.svc.Handle(whatsapp.StatusChanged{Status: whatsapp.Status{State: whatsapp.StateLoggedOut}})
	waitFor(b, func(a Ack) bool { return a.ID == m.ID && a.Ack == "failed" && a.Failure == failureLogout })
}

func TestRepliesOvertakeABroadcast(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.phone.setState(whatsapp.StateOffline)
	b.run()
	b.greeted()
	for i := range 3 {
		if _, err := b.enqueue(Draft{Text: fmt.Sprint("broadcast ", i), Source: SourceBroadcast}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.enqueue(Draft{Text: "scheduled", Source: SourceScheduled}); err != nil {
		t.Fatal(err)
	}
	reply := b.send("reply")
	b.phone.setState(whatsapp.StateReady)
	b.svc.Handle(whatsapp.StatusChanged{Status: b.phone.Status()})
	waitFor(b, func(a Ack) bool { return a.ID == reply.ID && a.Ack == "sent" })
	b.until(func() bool { return len(b.phone.handed()) >= 3 }, nil)
	if got := b.phone.handed(); !slices.Equal(got[:3], []string{"reply", "scheduled", "broadcast 0"}) {
		t.Errorf("order %v", got)
	}
}

func TestFilesAndQuotes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got := make(chan whatsapp.Outgoing, 1)
	b.phone.send = func(o whatsapp.Outgoing) (whatsapp.Sent, error) {
		got <- o
		return b.phone.take(o, 1), nil
	}
	b.run()
	b.svc.Handle(seen(message("false_4917012345@c.us_IN", false, "how does it look?", 1)))
	question := waitFor(b, func(m Message) bool { return m.Direction == In })
	b.exec(`INSERT INTO files (name, mime_type, size, sha256, complete) VALUES ('cake.png', 'image/png', 1, '\x00', true)`)
	file, quoted := int64(1), number(t, question.ID)
	m, err := b.enqueue(Draft{Type: "image", Text: "like this", FileID: &file, QuotedID: &quoted})
	if err != nil {
		t.Fatal(err)
	}
	if m.Media == nil || m.Media.Name != "cake.png" || m.Media.FileID == nil || m.Quoted == nil || m.Quoted.Text != "how does it look?" {
		t.Errorf("message %+v", m)
	}
	o := <-got
	if o.File == nil || o.QuotedID != "false_4917012345@c.us_IN" || o.Type != "image" || o.Text != "like this" {
		t.Errorf("sent %+v", o)
	}
	missing := int64(99)
	if _, err := b.enqueue(Draft{Type: "image", FileID: &missing}); platform.CodeOf(err) != platform.ErrInvalid {
		t.Errorf("no such file: %v", err)
	}
	if _, err := b.enqueue(Draft{Text: "x", QuotedID: &missing}); platform.CodeOf(err) != platform.ErrInvalid {
		t.Errorf("no such quoted message: %v", err)
	}
}

func TestTooManyWaiting(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.phone.setState(whatsapp.StateOffline)
	b.run()
	b.greeted()
	for range maxWaiting {
		b.send("x")
	}
	if _, err := b.enqueue(Draft{Text: "one more"}); platform.CodeOf(err) != platform.ErrTooMany {
		t.Errorf("%v", err)
	}
	if _, err := b.enqueue(Draft{Text: "of another source", Source: SourceScheduled}); err != nil {
		t.Errorf("%v", err)
	}
}
