package webhooks

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"ipnoelp.io/platform/slice/crm/event"
)

const (
	attemptTimeout  = 10 * time.Second
	connectTimeout  = 5 * time.Second
	queryTimeout    = 5 * time.Second
	maxResponseRead = 64 << 10 // bytes, so that a connection can be used again

	firstPause    = 5 * time.Second // after the first attempt of a delivery
	lastPause     = time.Hour
	maxRetryAfter = time.Hour

	firstRest = time.Second // of a webhook, after a failure
	lastRest  = 5 * time.Minute
)

// dispatch starts a lane for each webhook for which something is due.
func (s *Service) dispatch(ctx context.Context) (next time.Time, err error) {
	waiting, err := s.waiting(ctx)
	if err != nil {
		return time.Time{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for id, l := range s.lanes {
		if _, ok := waiting[id]; !ok && !l.running {
			delete(s.lanes, id)
		}
	}
	for id, at := range waiting {
		l := s.lanes[id]
		if l == nil {
			l = &lane{}
			s.lanes[id] = l
		}
		if l.running {
			continue // wakes us at its end
		}
		if at = later(at, l.restUntil); at.After(now) {
			if next.IsZero() || at.Before(next) {
				next = at
			}
			continue
		}
		l.running = true
		s.draining.Go(func() { s.drain(ctx, id, l) })
	}
	return next, nil
}

// drain sends what is due for one webhook, one after the other.
func (s *Service) drain(ctx context.Context, webhookID int64, l *lane) {
	var err error
	for more := true; more && err == nil && ctx.Err() == nil; {
		select {
		case s.slots <- struct{}{}:
			more, err = s.sendNext(ctx, webhookID, l)
			<-s.slots
		case <-ctx.Done():
		}
	}
	if err != nil && ctx.Err() == nil {
		s.log.Error("deliveries cannot be read or settled", "webhook", webhookID, "error", err)
	}
	s.mu.Lock()
	l.running = false
	if err != nil {
		l.rest(time.Now())
	}
	prune := s.settled >= pruneAfter
	if prune {
		s.settled = 0
	}
	s.mu.Unlock()
	if prune {
		s.pruner.Wake()
	}
	s.alarm.Wake()
}

// rest has the webhook rest after a failure. Service.mu must be held.
func (l *lane) rest(now time.Time) {
	l.failures++
	l.restUntil = now.Add(jitter(backOff(firstRest, lastRest, l.failures)))
}

// sendNext makes one attempt. It reports whether there may be more to send now.
func (s *Service) sendNext(ctx context.Context, webhookID int64, l *lane) (more bool, err error) {
	d, err := s.nextDue(ctx, webhookID, time.Now())
	if err != nil || d == nil {
		return false, err
	}
	r := s.attempt(ctx, d)
	if ctx.Err() != nil && !r.delivered() {
		return false, nil // the slice stops; whether it arrived is not known, so it is sent again
	}
	// What was answered is to be stored also while the slice stops.
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), queryTimeout)
	defer cancel()
	if err := s.settle(sctx, webhookID, d, r); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled++
	if r.delivered() {
		l.failures, l.restUntil = 0, time.Time{}
		return true, nil
	}
	l.rest(time.Now())
	return false, nil
}

// result is what came of an attempt.
type result struct {
	status     int    // 0 without an answer
	failure    string // for the user; "" when delivered
	retryAfter time.Duration
}

func (r result) delivered() bool { return r.failure == "" }

// attempt sends a delivery.
func (s *Service) attempt(ctx context.Context, d *due) result {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	body, err := d.body()
	if err != nil {
		return result{failure: "The event cannot be written as JSON."}
	}
	// The rules may have become stricter since the URL was stored.
	if fault := checkURL(d.url, s.permit); fault != "" {
		return result{failure: "The URL " + fault + "."}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		return result{failure: "The URL cannot be used."}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "slice-webhook/1")
	req.Header.Set(HeaderID, formatID(d.id))
	req.Header.Set(HeaderEvent, d.event)
	req.Header.Set(HeaderAttempt, strconv.Itoa(d.attempts+1))
	req.Header.Set(HeaderSignature, Sign(d.secret, time.Now(), body))
	res, err := s.client.Do(req)
	if err != nil {
		return result{failure: explain(err)}
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, maxResponseRead) // what it says does not matter
	r := result{status: res.StatusCode}
	switch {
	case res.StatusCode >= 200 && res.StatusCode < 300:
	case res.StatusCode >= 300 && res.StatusCode < 400:
		r.failure = fmt.Sprintf("It answered %d; redirects are not followed.", res.StatusCode)
	default:
		r.failure = fmt.Sprintf("It answered %d.", res.StatusCode)
		if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && n > 0 {
			r.retryAfter = min(time.Duration(min(n, int(maxRetryAfter/time.Second)))*time.Second, maxRetryAfter)
		}
	}
	return r
}

// explain says why there was no answer, without what a resolver or a system call
// says of us.
func explain(err error) string {
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, errNotPublic):
		return "Its address is not a public one."
	case errors.As(err, &dns) && !dns.IsTimeout:
		return "Its host name was not found."
	case errors.As(err, &cert), errors.As(err, &unknown):
		return "Its certificate is not valid."
	case errors.As(err, &record):
		return "It does not speak TLS."
	case errors.Is(err, syscall.ECONNREFUSED):
		return "It refused the connection."
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("It did not answer within %v.", attemptTimeout)
	}
	return "The connection failed."
}

// settle stores what came of an attempt.
func (s *Service) settle(ctx context.Context, webhookID int64, d *due, r result) error {
	var status *int
	if r.status != 0 {
		status = &r.status
	}
	if r.delivered() {
		_, err := s.pool.Exec(ctx, `
			UPDATE webhook_deliveries SET status = 'delivered', attempts = attempts + 1, response_status = $2, failure = '', delivered_at = now()
			WHERE id = $1 AND status = 'pending'`, d.id, status)
		return err
	}
	if r.status == http.StatusGone {
		return s.disable(ctx, webhookID, d.id, d.url)
	}
	now := time.Now()
	next := now.Add(max(jitter(backOff(firstPause, lastPause, d.attempts+1)), r.retryAfter))
	to := "pending"
	if next.After(d.retryUntil) {
		to = "failed"
	}
	if _, err := s.pool.Exec(ctx, `
		UPDATE webhook_deliveries SET status = $2, attempts = attempts + 1, next_attempt_at = $3, response_status = $4, failure = $5
		WHERE id = $1 AND status = 'pending'`, d.id, to, next, status, r.failure); err != nil {
		return err
	}
	if to == "failed" {
		// It has been failing for as long as we try: what else is too old is not
		// attempted one by one.
		_, err := s.pool.Exec(ctx, `
			UPDATE webhook_deliveries SET status = 'failed', failure = $2
			WHERE webhook_id = $1 AND status = 'pending' AND retry_until < $3`, webhookID, r.failure, now)
		return err
	}
	return nil
}

// disable ends a webhook whose receiver says that it is gone.
func (s *Service) disable(ctx context.Context, webhookID, deliveryID int64, url string) error {
	err := s.bus.Transact(ctx, func(tx *event.Tx) error {
		// Of another URL nothing was said.
		tag, err := tx.Exec(ctx, `
			UPDATE webhooks SET active = false, disabled_reason = 'It answered 410 Gone.', updated_at = now()
			WHERE id = $1 AND url = $2`, webhookID, url)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			UPDATE webhook_deliveries SET status = 'failed', failure = 'It answered 410.',
				attempts = attempts + (id = $2)::int, response_status = CASE WHEN id = $2 THEN 410 ELSE response_status END
			WHERE webhook_id = $1 AND status = 'pending'`, webhookID, deliveryID); err != nil {
			return err
		}
		if tag.RowsAffected() > 0 {
			tx.Emit("webhook:disabled", map[string]string{"id": formatID(webhookID)})
		}
		return nil
	})
	if err == nil {
		s.changed(ctx)
	}
	return err
}

// backOff doubles from first to last, for n from 1.
func backOff(first, last time.Duration, n int) time.Duration {
	d := first
	for i := 1; i < n && d < last; i++ {
		d *= 2
	}
	return min(d, last)
}

// jitter spreads what would come at once: 75 to 125 %.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2+1)
}
