package inbox

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"ipnoelp.io/platform/slice/alarm"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/whatsapp"
)

// WhatsApp is what the service needs of the session. All methods are safe for
// concurrent use; those that talk to the page return whatsapp.ErrNotReady while
// it cannot be asked, whatsapp.ErrNotFound for what WhatsApp does not know, and
// whatsapp.ErrRefused for what it does not do.
type WhatsApp interface {
	// Status returns the present status at once.
	Status() whatsapp.Status
	// NewMessageID returns an id that a message to the chat may be sent under.
	NewMessageID(ctx context.Context, chatID string) (string, error)
	// Send hands over a message. After errors that are none of the above it is
	// open whether it was sent; Message tells.
	Send(ctx context.Context, o whatsapp.Outgoing) (whatsapp.Sent, error)
	// Message returns a message by its id.
	Message(ctx context.Context, id string) (whatsapp.Message, error)
	// Chats returns the chats with the latest activity.
	Chats(ctx context.Context, count int) ([]whatsapp.Chat, error)
	// Messages returns the latest messages of a chat, before a message unless
	// before is "", oldest first.
	Messages(ctx context.Context, chatID string, count int, before string) ([]whatsapp.Message, error)
	// React sets the reaction to a message; "" takes it back.
	React(ctx context.Context, messageID, emoji string) error
	// Edit gives a message of ours another text.
	Edit(ctx context.Context, messageID, text string) error
	// Delete deletes a message of ours for everyone.
	Delete(ctx context.Context, messageID string) error
	// SetTyping shows or ends that somebody writes here.
	SetTyping(ctx context.Context, chatID string, typing bool) error
	// MarkRead tells the other side that its messages were read.
	MarkRead(ctx context.Context, chatID string) error
}

// Files are the files that messages are sent with.
type Files interface {
	// Read returns a file, errors of platform.ErrNotFound when there is none.
	Read(ctx context.Context, id int64) (whatsapp.File, error)
}

// DefaultReconcileEvery is how often a linked session is compared with what is
// stored: WhatsApp stores some messages without saying so.
const DefaultReconcileEvery = time.Minute

const (
	dbRetryFirst = 100 * time.Millisecond
	dbRetryMax   = 5 * time.Second
	saveTries    = 4 // then the next comparison has to find it
)

// Options configure a Service. Files may be nil: then messages have no files.
type Options struct {
	Store          *Store
	WhatsApp       WhatsApp
	Files          Files
	Bus            *event.Bus
	Log            *slog.Logger
	ReconcileEvery time.Duration // 0 is DefaultReconcileEvery
}

// Service keeps the slice's data and WhatsApp in step.
type Service struct {
	store     *Store
	wa        WhatsApp
	files     Files
	bus       *event.Bus
	log       *slog.Logger
	reconcile time.Duration
	queue     *eventQueue
	snoozes   *alarm.Alarm
	dirty     atomic.Bool                      // messages may wait to be sent
	account   atomic.Pointer[whatsapp.Account] // that is linked, as far as known; nil without
	settings  atomic.Pointer[Settings]

	// The following fields belong to the goroutine of Run.
	compare  syncPlan
	pace     pace
	state    whatsapp.State // the latest that was told
	outboxAt time.Time      // when the outbox is to be looked at; zero for never
}

// NewService returns a service that takes in nothing before Run.
func NewService(o Options) *Service {
	if o.ReconcileEvery <= 0 {
		o.ReconcileEvery = DefaultReconcileEvery
	}
	s := &Service{
		store: o.Store, wa: o.WhatsApp, files: o.Files, bus: o.Bus, log: o.Log,
		reconcile: o.ReconcileEvery, queue: newEventQueue(),
	}
	s.settings.Store(defaultSettings())
	s.snoozes = alarm.New("snoozed chats", o.Log, s.wakeSnoozed)
	return s
}

// Handle takes an event of WhatsApp; it never waits.
func (s *Service) Handle(ev whatsapp.Event) { s.queue.put(ev) }

// Run works until ctx ends. The database must be migrated.
func (s *Service) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { s.snoozes.Run(ctx) })
	s.retry(ctx, "load settings", func() error { return s.loadSettings(ctx) })
	s.dirty.Store(true) // what an earlier process left
	ticker := time.NewTicker(s.reconcile)
	defer ticker.Stop()
	for ctx.Err() == nil {
		if ev, ok := s.queue.take(); ok {
			s.apply(ctx, ev)
			continue
		}
		set := s.settings.Load()
		s.pace.perMinute, s.pace.broadcastPerMinute = set.SendPerMinute, set.BroadcastPerMinute
		if s.sendNext(ctx) || s.syncNext(ctx) {
			continue
		}
		var outbox <-chan time.Time
		timer := time.NewTimer(max(time.Until(s.outboxAt), 0))
		if !s.outboxAt.IsZero() {
			outbox = timer.C
		}
		select {
		case <-ctx.Done():
		case <-s.queue.wake:
		case <-outbox:
		case <-ticker.C:
			s.compare.plan(recentChats)
		}
		timer.Stop()
	}
}

// apply takes in one event.
func (s *Service) apply(ctx context.Context, ev whatsapp.Event) {
	switch ev := ev.(type) {
	case whatsapp.StatusChanged:
		s.applyStatus(ctx, ev.Status)
	case whatsapp.EventsLost:
		s.compare.plan(allChats)
	case whatsapp.MessageSeen:
		s.retry(ctx, "save message", func() error {
			return s.saveMessages(ctx, ev.Chat, []whatsapp.Message{ev.Message}, live)
		})
	case whatsapp.AckChanged:
		s.retry(ctx, "save ack", func() error { return s.saveAck(ctx, ev.IDs, ev.Ack) })
	case whatsapp.ChatRead:
		s.retry(ctx, "mark chat read", func() error { return s.markRead(ctx, ev.ChatID) })
	case whatsapp.MessageEdited:
		s.retry(ctx, "save edit", func() error { return s.saveEdit(ctx, ev.ID, ev.Text) })
	case whatsapp.MessageRevoked:
		s.retry(ctx, "save deletion", func() error { return s.saveDeletion(ctx, ev.ID) })
	case whatsapp.ReactionSeen:
		s.retry(ctx, "save reaction", func() error { return s.saveReaction(ctx, ev) })
	case whatsapp.TypingSeen:
		s.bus.Publish(EventTyping, Typing{ChatID: ev.ChatID, SenderID: ev.SenderID, Typing: ev.Typing})
	}
}

// applyStatus tells the new status, and remembers who is linked while the page
// is being loaded again.
func (s *Service) applyStatus(ctx context.Context, status whatsapp.Status) {
	// First, so that whoever was told that the link ended can send no more.
	switch {
	case status.Account != nil:
		s.account.Store(status.Account)
	case status.State == whatsapp.StateLoggedOut:
		s.account.Store(nil)
	}
	if err := s.bus.Tell(ctx, EventState, status); err != nil && ctx.Err() == nil {
		s.log.Error("webhooks were not told of the status", "error", err)
	}
	if was := s.state; status.State != was {
		s.state = status.State
		s.retry(ctx, "save state", func() error { return s.saveState(ctx, status, was) })
	}
	switch status.State {
	case whatsapp.StateReady:
		s.compare.plan(allChats)
		s.dirty.Store(true)
	case whatsapp.StateLoggedOut:
		s.retry(ctx, "fail messages", func() error { return s.fail(ctx, failureLogout, `outbox IS NOT NULL`) })
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
