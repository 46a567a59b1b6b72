package gateway

import (
	"context"
	"slices"
	"time"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/auth"
)

// every calls f now and then until ctx is done.
func every(ctx context.Context, d time.Duration, f func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f()
		}
	}
}

// expire removes what is over: sessions, tokens, mails, accounts. It begins at
// once: gateways may be replaced more often than it comes round.
func (g *Gateway) expire(ctx context.Context) {
	remove := func() {
		ctx, cancel := context.WithTimeout(ctx, expireTimeout)
		defer cancel()
		n, err := g.Store.DeleteExpiredSessions(ctx)
		if err != nil {
			g.Log.Error("expired sessions were not deleted", "error", err)
		}
		if n > 0 {
			g.Log.Info("expired sessions deleted", "count", n)
		}
		if err := g.Store.DeleteOldMails(ctx); err != nil {
			g.Log.Error("old mails were not deleted", "error", err)
		}
		g.deleteDueUsers(ctx)
	}
	remove()
	every(ctx, expireEvery, remove)
}

// closeOver ends sockets when their sessions do: those of admins who act for a user
// say when that is.
func (g *Gateway) closeOver(ctx context.Context) {
	every(ctx, closeOverEvery, func() { g.sockets.CloseOver(time.Now()) })
}

// deleteDueUsers deletes the accounts of those who asked for it, and did not
// change their mind in time. Other gateways are notified.
func (g *Gateway) deleteDueUsers(ctx context.Context) {
	deleted, err := g.Store.DeleteDueUsers(ctx)
	if err != nil {
		g.Log.Error("accounts were not deleted as their users asked", "error", err)
	}
	for _, id := range deleted {
		g.Log.Info("account deleted as its user asked", "user_id", id)
		g.userChanged(id, platform.UserDeleted)
		g.mails.Wake()
	}
}

// renewSessions keeps those in use in the cache.
func (g *Gateway) renewSessions(ctx context.Context) {
	every(ctx, auth.RenewEvery, func() {
		for _, s := range []*auth.Sessions{g.sessions, g.tokens} {
			if err := s.Renew(ctx); err != nil && ctx.Err() == nil {
				g.Log.Warn("sessions in use were not read ahead of time", "error", err)
			}
		}
	})
}

// noteSeen writes down which sessions are in use: a session that nobody uses
// ends. An open socket is use.
func (g *Gateway) noteSeen(ctx context.Context) {
	note := func() {
		seen := slices.Concat(g.sessions.TakeSeen(), g.tokens.TakeSeen(), g.sockets.Sessions())
		if len(seen) == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteSeenTimeout)
		defer cancel()
		if err := g.Store.SessionsSeen(ctx, seen); err != nil {
			g.Log.Warn("it was not noted which sessions are in use", "count", len(seen), "error", err)
		}
	}
	every(ctx, noteSeenEvery, note)
	note() // what is left at shutdown
}
