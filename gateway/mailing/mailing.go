// Package mailing sends the mails that are queued in the database. Whoever asks
// for a mail waits for a row to be written and for nothing else: how long a
// mail takes, and whether there is anybody to write to, does not show.
package mailing

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ipnoelp.io/platform"
)

const (
	pollEvery   = 5 * time.Second  // mails of other gateways, and those that are tried again
	settle      = 2 * time.Second  // from a wake-up: what asks for mails, many sign-ups at once, goes first
	batch       = 16               // mails claimed at once
	sendTimeout = 20 * time.Second // for one mail
	dbTimeout   = 5 * time.Second  // for one statement
	giveUpAfter = 24 * time.Hour
	retryFirst  = 15 * time.Second
	retryMax    = time.Hour

	// lease is above what a batch takes at worst. A gateway that dies in the
	// middle leaves its mails to the others for then; the one it was sending may
	// come twice.
	lease = batch*(sendTimeout+3*dbTimeout) + time.Minute
)

// Mailer hands a mail over for delivery. An ErrInvalid means that its address takes
// none, any other error that it may be tried again. Send is called by one goroutine at a
// time.
type Mailer interface {
	Send(ctx context.Context, m platform.Mail) error
}

// Store keeps the queue.
type Store interface {
	// DueMails returns up to limit mails whose time has come, and puts off
	// their next attempt by lease: nobody else gets them meanwhile.
	DueMails(ctx context.Context, limit int, lease time.Duration) ([]platform.QueuedMail, error)

	// AddMailToken stores the token that a mail is going to carry. Returns
	// ErrNotFound if the mail has no point any more.
	AddMailToken(ctx context.Context, mailID int64, tokenHash [32]byte, expiresAt time.Time) error

	MailSent(ctx context.Context, id int64) error

	// MailFailed says why a mail is not out, and when to try again; never, if
	// that is zero.
	MailFailed(ctx context.Context, id int64, failure string, again time.Time) error

	DropMail(ctx context.Context, id int64) error
}

// Worker sends what is due. Make it with New, then Run it.
type Worker struct {
	store     Store
	mailer    Mailer
	publicURL *url.URL
	results   *prometheus.CounterVec
	log       *slog.Logger
	wake      chan struct{}
	now       func() time.Time
}

// New returns a worker; without a mailer it sends nothing. results counts by
// result: sent, retried, given_up, refused, dropped.
func New(store Store, mailer Mailer, publicURL *url.URL, results *prometheus.CounterVec, log *slog.Logger) *Worker {
	return &Worker{
		store: store, mailer: mailer, publicURL: publicURL, results: results, log: log,
		wake: make(chan struct{}, 1), now: time.Now,
	}
}

// Wake says that a mail was queued.
func (w *Worker) Wake() {
	select {
	case w.wake <- struct{}{}:
	default: // it is going to look anyway
	}
}

// Run sends until ctx is done.
func (w *Worker) Run(ctx context.Context) {
	if w.mailer == nil {
		w.log.Warn("no way to send mails is configured: none is sent")
		return
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-w.wake:
			select {
			case <-ctx.Done():
				return
			case <-time.After(settle):
			}
		}
		for w.sendDue(ctx) == batch {
		}
	}
}

// sendDue sends one batch and returns how many mails it had.
func (w *Worker) sendDue(ctx context.Context) int {
	claim, cancel := context.WithTimeout(ctx, dbTimeout)
	due, err := w.store.DueMails(claim, batch, lease)
	cancel()
	if err != nil {
		if ctx.Err() == nil {
			w.log.Error("mails that are due", "error", err)
		}
		return 0
	}
	for _, m := range due {
		// Not interrupted by a shutdown, which waits for it: it would be sent
		// twice. Those after it are left for when the lease is over.
		if ctx.Err() != nil {
			w.putBack(context.WithoutCancel(ctx), m)
			continue
		}
		w.send(context.WithoutCancel(ctx), m)
	}
	return len(due)
}

func (w *Worker) send(ctx context.Context, m platform.QueuedMail) {
	result, err := "sent", w.deliver(ctx, m)
	done, cancel := context.WithTimeout(ctx, dbTimeout)
	defer cancel()
	var marked error
	switch {
	case platform.CodeOf(err) == platform.ErrNotFound:
		result, marked = "dropped", w.store.DropMail(done, m.ID)
		err = nil
	case err == nil:
		marked = w.store.MailSent(done, m.ID)
	case platform.CodeOf(err) == platform.ErrInvalid:
		result, marked = "refused", w.store.MailFailed(done, m.ID, err.Error(), time.Time{})
	default:
		again := w.now().Add(backoff(m.Attempts))
		if result = "retried"; again.Sub(m.CreatedAt) > giveUpAfter {
			result, again = "given_up", time.Time{}
		}
		marked = w.store.MailFailed(done, m.ID, err.Error(), again)
	}
	w.results.WithLabelValues(result).Inc()
	// The address is a person's: it is in the database, not in the log.
	attrs := []any{"mail_id", m.ID, "kind", m.Kind, "attempt", m.Attempts, "result", result}
	if err != nil {
		w.log.Warn("mail", append(attrs, "error", address.ReplaceAllString(err.Error(), "(an address)"))...)
	} else {
		w.log.Info("mail", attrs...)
	}
	if marked != nil {
		w.log.Error("what became of a mail was not noted", "mail_id", m.ID, "result", result, "error", marked)
	}
}

// address is what is left out of the log of what mail servers say.
var address = regexp.MustCompile(`[^\s<>"]+@[^\s<>"]+`)

var errMoot = platform.Errorf(platform.ErrNotFound, "The mail has no point any more.")

func (w *Worker) deliver(ctx context.Context, m platform.QueuedMail) error {
	if m.Kind == platform.MailDeletionRequested && m.DeletionAt.IsZero() {
		return errMoot // cancelled meanwhile
	}
	var token string
	if life := m.Kind.TokenLifetime(); life > 0 {
		token = platform.NewSessionToken()
		hash, _ := platform.HashSessionToken(token)
		db, cancel := context.WithTimeout(ctx, dbTimeout)
		err := w.store.AddMailToken(db, m.ID, hash, w.now().Add(life))
		cancel()
		if err != nil {
			return err
		}
	}
	text := write(m, w.publicURL, token)
	if text.Subject == "" { // queued by a newer gateway, which sends it
		return fmt.Errorf("a mail of kind %q is not known here", m.Kind)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return w.mailer.Send(ctx, text)
}

// putBack lets another gateway have a mail at once.
func (w *Worker) putBack(ctx context.Context, m platform.QueuedMail) {
	ctx, cancel := context.WithTimeout(ctx, dbTimeout)
	defer cancel()
	if err := w.store.MailFailed(ctx, m.ID, "", w.now()); err != nil {
		w.log.Error("a mail waits for its lease to end", "mail_id", m.ID, "error", err)
	}
}

// backoff doubles with each attempt, and is spread: what failed together is
// not tried again together.
func backoff(attempts int) time.Duration {
	d := retryFirst << min(attempts-1, 10)
	d = min(d, retryMax)
	return d/2 + rand.N(d/2)
}
