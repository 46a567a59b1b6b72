package mailing

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ipnoelp.io/platform"
)

// fakeQueue keeps the contract of Store in memory.
type fakeQueue struct {
	mu     sync.Mutex
	mails  []platform.QueuedMail // guarded by mu
	next   map[int64]time.Time   // guarded by mu; when it is due
	moot   map[int64]bool        // guarded by mu
	tokens map[[32]byte]int64    // guarded by mu

	lifetimes map[int64]time.Duration // guarded by mu; of the tokens, by mail
	ended     map[int64]string        // guarded by mu; sent, given_up, dropped
	failures  map[int64]string        // guarded by mu; the last of each
}

func newFakeQueue(mails ...platform.QueuedMail) *fakeQueue {
	q := &fakeQueue{next: map[int64]time.Time{}, moot: map[int64]bool{}, tokens: map[[32]byte]int64{}, lifetimes: map[int64]time.Duration{}, ended: map[int64]string{}, failures: map[int64]string{}}
	for i, m := range mails {
		m.ID, m.CreatedAt = int64(i+1), time.Now()
		q.mails = append(q.mails, m)
	}
	return q
}

func (q *fakeQueue) DueMails(_ context.Context, limit int, lease time.Duration) ([]platform.QueuedMail, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var due []platform.QueuedMail
	for i := range q.mails {
		m := &q.mails[i]
		if q.ended[m.ID] == "" && !q.next[m.ID].After(time.Now()) && len(due) < limit {
			m.Attempts++
			q.next[m.ID] = time.Now().Add(lease)
			due = append(due, *m)
		}
	}
	return due, nil
}

func (q *fakeQueue) AddMailToken(_ context.Context, id int64, hash [32]byte, expiresAt time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lifetimes[id] = time.Until(expiresAt)
	if q.moot[id] {
		return platform.Errorf(platform.ErrNotFound, "moot")
	}
	q.tokens[hash] = id
	return nil
}

func (q *fakeQueue) end(id int64, how string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended[id] = how
	return nil
}

func (q *fakeQueue) MailSent(_ context.Context, id int64) error { return q.end(id, "sent") }
func (q *fakeQueue) DropMail(_ context.Context, id int64) error { return q.end(id, "dropped") }
func (q *fakeQueue) MailFailed(_ context.Context, id int64, failure string, again time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failures[id], q.next[id] = failure, again
	if again.IsZero() {
		q.ended[id] = "given_up"
	}
	return nil
}

func (q *fakeQueue) claimed() int { q.mu.Lock(); defer q.mu.Unlock(); return len(q.next) }

func (q *fakeQueue) how(id int64) string { q.mu.Lock(); defer q.mu.Unlock(); return q.ended[id] }

type fakeMailer struct {
	mu    sync.Mutex
	sent  []platform.Mail // guarded by mu
	fails int             // guarded by mu; so many attempts
	why   error           // guarded by mu
	tries int             // guarded by mu
}

func (f *fakeMailer) Send(_ context.Context, m platform.Mail) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tries++; f.tries <= f.fails {
		return f.why
	}
	f.sent = append(f.sent, m)
	return nil
}

func (f *fakeMailer) tried() int { f.mu.Lock(); defer f.mu.Unlock(); return f.tries }

func run(t *testing.T, q *fakeQueue, m Mailer) (w *Worker, stop func()) {
	t.Helper()
	return runLogging(t, q, m, slog.New(slog.DiscardHandler))
}

func runLogging(t *testing.T, q *fakeQueue, m Mailer, log *slog.Logger) (w *Worker, stop func()) {
	t.Helper()
	public, _ := url.Parse("https://app.example.com")
	results := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "mails"}, []string{"result"})
	w = New(q, m, public, results, log)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	return w, func() { cancel(); <-done }
}

func TestMailsAreSentOnceWithATokenOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(
			platform.QueuedMail{Kind: platform.MailVerifyEmail, Recipient: "ana@example.com"},
			platform.QueuedMail{Kind: platform.MailResetPassword, Recipient: "nobody@example.com"},
			platform.QueuedMail{Kind: platform.MailPasswordChanged, Recipient: "ana@example.com"},
			platform.QueuedMail{Kind: platform.MailChangeEmail, Recipient: "ana@example.net"},
			platform.QueuedMail{Kind: platform.MailResetPassword, Recipient: "ana@example.com"},
		)
		q.moot[2] = true
		m := &fakeMailer{}
		w, stop := run(t, q, m)
		w.Wake()
		synctest.Wait()
		if m.tried() > 0 || q.claimed() > 0 {
			t.Error("who asks for many mails at once finds the database busy with the first")
		}
		time.Sleep(24 * time.Hour)
		stop()
		if q.lifetimes[1] != 24*time.Hour || q.lifetimes[4] != 24*time.Hour || q.lifetimes[5] != time.Hour {
			t.Errorf("tokens are good for %v", q.lifetimes)
		}
		if len(m.sent) != 4 || q.how(1) != "sent" || q.how(2) != "dropped" || q.how(3) != "sent" {
			t.Fatalf("sent %v, ended %v", m.sent, q.ended)
		}
		link := regexp.MustCompile(`https://app\.example\.com/verify-email#token=(\S+)`).FindStringSubmatch(m.sent[0].Text)
		if link == nil {
			t.Fatalf("no link in %q", m.sent[0].Text)
		}
		if hash, ok := platform.HashSessionToken(link[1]); !ok || q.tokens[hash] != 1 {
			t.Error("the token in the link is not the one that is stored")
		}
		if strings.Contains(m.sent[1].Text, "token") || m.sent[1].To != "ana@example.com" {
			t.Errorf("mail %+v", m.sent[1])
		}
	})
}

func TestMailsAreTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		fails int
		ends  string
	}{"a few times": {5, "sent"}, "for a day": {1000, "given_up"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newFakeQueue(platform.QueuedMail{Kind: platform.MailResetPassword, Recipient: "ana@example.com"})
				m := &fakeMailer{fails: c.fails, why: errors.New("421 try later")}
				_, stop := run(t, q, m)
				time.Sleep(48 * time.Hour)
				stop()
				if q.how(1) != c.ends || len(q.tokens) != m.tries {
					t.Errorf("%s after %d attempts with %d tokens, want %s", q.how(1), m.tries, len(q.tokens), c.ends)
				}
				if m.tries > 60 {
					t.Errorf("%d attempts in a day", m.tries)
				}
			})
		})
	}
}

// What an address will never take is not tried again, and the log does not tell whose it
// is.
func TestRefusedMails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(platform.QueuedMail{Kind: platform.MailResetPassword, Recipient: "ana@example.com"})
		m := &fakeMailer{fails: 1000, why: platform.Errorf(platform.ErrInvalid, "550 <Ana@example.com>, now at ana.b@example.net: no such mailbox")}
		var log bytes.Buffer
		w, stop := runLogging(t, q, m, slog.New(slog.NewTextHandler(&log, nil)))
		time.Sleep(48 * time.Hour)
		stop()
		if m.tries != 1 || q.how(1) != "given_up" || !strings.Contains(q.failures[1], "Ana@example.com") {
			t.Errorf("%d attempts, then %q because of %q", m.tries, q.how(1), q.failures[1])
		}
		if n := testutil.ToFloat64(w.results.WithLabelValues("refused")); n != 1 {
			t.Errorf("counted %v times", n)
		}
		if got := log.String(); strings.Contains(got, "example") || !strings.Contains(got, "550 <(an address)>, now at (an address) no such mailbox") {
			t.Errorf("log %s", got)
		}
	})
}

func TestWithoutAMailerNothingIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(platform.QueuedMail{Kind: platform.MailResetPassword})
		w, stop := run(t, q, nil)
		w.Wake()
		time.Sleep(time.Hour)
		stop()
		if q.mails[0].Attempts != 0 {
			t.Error("an attempt was made")
		}
	})
}

func TestEveryKindHasAText(t *testing.T) {
	public, _ := url.Parse("https://app.example.com")
	for _, k := range []platform.MailKind{platform.MailVerifyEmail, platform.MailChangeEmail, platform.MailResetPassword, platform.MailEmailChanged, platform.MailPasswordChanged,
		platform.MailPasskeyAdded, platform.MailPasskeyRemoved, platform.MailSupportAccess, platform.MailDeletionRequested, platform.MailDeletionCancelled, platform.MailAccountDeleted} {
		m := write(platform.QueuedMail{Kind: k, Recipient: "ana@example.com"}, public, "TOKEN")
		if m.Subject == "" || m.Text == "" || strings.Contains(m.Text, "TOKEN") != (k.TokenLifetime() > 0) {
			t.Errorf("%s: %+v", k, m)
		}
	}
}

func TestMailsThatAreNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		due := time.Date(2026, 12, 8, 20, 30, 0, 0, time.UTC)
		q := newFakeQueue(
			platform.QueuedMail{Kind: platform.MailDeletionRequested, Recipient: "ana@example.com", DeletionAt: due},
			platform.QueuedMail{Kind: platform.MailDeletionRequested, Recipient: "ben@example.com"}, // cancelled since
			platform.QueuedMail{Kind: "of a newer gateway", Recipient: "ana@example.com"},
		)
		m := &fakeMailer{}
		w, stop := run(t, q, m)
		w.Wake()
		time.Sleep(settle)
		synctest.Wait()
		stop()
		if len(m.sent) != 1 || m.sent[0].To != "ana@example.com" || !strings.Contains(m.sent[0].Text, "8 December 2026, 20:30 UTC") ||
			!strings.Contains(m.sent[0].Text, "https://app.example.com/account") {
			t.Errorf("sent %+v", m.sent)
		}
		if q.how(2) != "dropped" || q.how(3) != "" {
			t.Errorf("ended %v", q.ended)
		}
	})
}
