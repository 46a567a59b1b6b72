package inbox

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"ipnoelp.io/platform/slice/whatsapp"
)

// WhatsApp is what the service needs of the session. All methods are safe for
// concurrent use; those that talk to the page return whatsapp.ErrNotReady while
// it cannot be asked.
type WhatsApp interface {
	// Status returns the present status at once.
	Status() whatsapp.Status
	// Send hands over a message. Other errors leave open whether it was sent.
	Send(ctx context.Context, o whatsapp.Outgoing) (whatsapp.Sent, error)
	// Chats returns the chats with the latest activity.
	Chats(ctx context.Context, count int) ([]whatsapp.Chat, error)
	// Messages returns the latest messages of a chat, before a message unless
	// before is "", oldest first.
	Messages(ctx context.Context, chatID string, count int, before string) ([]whatsapp.Message, error)
}

// Publisher tells the clients that are connected. It must not wait for them.
type Publisher interface {
	Publish(event string, payload any)
}

// DefaultReconcileEvery is how often a linked session is compared with what is
// stored: WhatsApp stores some messages without saying so.
const DefaultReconcileEvery = time.Minute

const (
	sendDeadline = 45 * time.Second // above the engine's own, which says more
	sendGrace    = 2 * time.Second  // for a send in progress when the slice stops
	dbRetryFirst = 100 * time.Millisecond
	dbRetryMax   = 5 * time.Second
	saveTries    = 4 // then the next comparison has to find it
)

// Service keeps the slice's data and WhatsApp in step.
type Service struct {
	store     *Store
	wa        WhatsApp
	pub       Publisher
	log       *slog.Logger
	reconcile time.Duration
	queue     *eventQueue
	dirty     atomic.Bool // messages may wait to be sent

	// adding is held from writing an outgoing message until it is published, so
	// that its acks are published later.
	adding sync.Mutex

	// The following fields belong to the goroutine of Run.
	compare syncPlan
	waiting bool // messages were attempted or wait; some may have to fail
}

// NewService returns a service that takes in nothing before Run.
func NewService(store *Store, wa WhatsApp, pub Publisher, log *slog.Logger, reconcileEvery time.Duration) *Service {
	if reconcileEvery <= 0 {
		reconcileEvery = DefaultReconcileEvery
	}
	return &Service{store: store, wa: wa, pub: pub, log: log, reconcile: reconcileEvery, queue: newEventQueue(), waiting: true}
}

// Handle takes an event of WhatsApp; it never waits.
func (s *Service) Handle(ev whatsapp.Event) { s.queue.put(ev) }

// Run works until ctx ends. The database must be migrated.
func (s *Service) Run(ctx context.Context) {
	s.dirty.Store(true) // what an earlier process left
	timer := time.NewTicker(s.reconcile)
	defer timer.Stop()
	for ctx.Err() == nil {
		if ev, ok := s.queue.take(); ok {
			s.apply(ctx, ev)
			continue
		}
		if s.sendNext(ctx) || s.syncNext(ctx) {
			continue
		}
		select {
		case <-ctx.Done():
		case <-s.queue.wake:
		case <-timer.C:
			s.compare.plan(recentChats)
			s.failStale(ctx)
		}
	}
}

// apply takes in one event.
func (s *Service) apply(ctx context.Context, ev whatsapp.Event) {
	switch ev := ev.(type) {
	case whatsapp.StatusChanged:
		s.pub.Publish(EventState, ev.Status)
		if ev.Status.State == whatsapp.StateReady {
			s.compare.plan(allChats)
			s.dirty.Store(true)
		}
	case whatsapp.EventsLost:
		s.compare.plan(allChats)
	case whatsapp.MessageSeen:
		s.retry(ctx, "save message", func() error {
			ch, err := s.store.SaveMessages(ctx, ev.Chat, []whatsapp.Message{ev.Message}, live)
			if err == nil {
				s.tell(ch)
			}
			return err
		})
	case whatsapp.AckChanged:
		s.retry(ctx, "save ack", func() error {
			acks, err := s.store.SetAck(ctx, ev.IDs, ev.Ack)
			s.tellAcks(acks)
			return err
		})
	case whatsapp.ChatRead:
		s.retry(ctx, "mark chat read", func() error { return s.markRead(ctx, ev.ChatID) })
	}
}

// retry runs f until it succeeds, a few times at most. What is lost then is
// found by the next comparison with WhatsApp.
func (s *Service) retry(ctx context.Context, what string, f func() error) {
	wait := dbRetryFirst
	for try := 1; ; try++ {
		err := f()
		if err == nil || errors.Is(err, errNoChat) || ctx.Err() != nil {
			return
		}
		s.log.Error("event could not be taken in", "what", what, "error", err, "try", try)
		if try == saveTries {
			s.compare.plan(allChats)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, dbRetryMax)
	}
}

func (s *Service) markRead(ctx context.Context, chatID string) error {
	changed, err := s.store.MarkRead(ctx, chatID)
	if err != nil || !changed {
		return err
	}
	chat, err := s.store.Chat(ctx, chatID)
	if err != nil {
		return err
	}
	s.pub.Publish(EventChat, chat)
	return nil
}

// sendNext sends the message that waits longest. It reports whether there was
// one.
func (s *Service) sendNext(ctx context.Context) bool {
	if !s.dirty.Load() || s.wa.Status().State != whatsapp.StateReady {
		return false
	}
	s.dirty.Store(false)
	s.adding.Lock()
	next, err := s.store.NextOutgoing(ctx, time.Now())
	s.adding.Unlock()
	if err != nil {
		s.log.Error("outbox cannot be read", "error", err)
		s.dirty.Store(true) // looked at again with the next event or tick
		return false
	}
	if next == nil {
		return false
	}
	s.dirty.Store(true)
	s.waiting = true

	// A send in progress is given a moment when the slice stops.
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendDeadline)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(sendGrace, cancel) })
	defer stop()

	sent, err := s.wa.Send(sctx, whatsapp.Outgoing{ChatID: next.chatID, Type: "text", Text: next.text})
	settle := func() ([]Ack, error) { return s.store.Sent(sctx, next.id, sent.ID, sent.Ack) }
	if err != nil {
		s.log.Error("message was not sent", "message", next.id, "error", err)
		settle = func() ([]Ack, error) { return s.store.NotSent(sctx, next.id) }
	}
	s.retry(sctx, "settle message", func() error {
		acks, err := settle()
		s.tellAcks(acks)
		return err
	})
	return true
}

// tell publishes what changed.
func (s *Service) tell(ch change) {
	for _, m := range ch.messages {
		s.pub.Publish(EventMessage, m)
	}
	s.tellAcks(ch.acks)
	if ch.chat != nil {
		s.pub.Publish(EventChat, *ch.chat)
	}
}

func (s *Service) tellAcks(acks []Ack) {
	for _, a := range acks {
		s.pub.Publish(EventAck, a)
	}
}
