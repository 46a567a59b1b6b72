// Package event tells who has to know what happened: the clients that are
// connected, and webhooks.
//
// What a module changes and what it says about the change are one transaction:
// a delivery to a webhook is stored with the change itself, so that a crash
// loses neither or both. Clients are told after the commit; one that was away
// asks the API again.
package event

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Clients are the connected clients. Publish must not wait for them.
type Clients interface {
	Publish(event string, payload any)
}

// Bus passes events on. All methods are safe for concurrent use.
type Bus struct {
	pool    *pgxpool.Pool
	clients Clients
	telling sync.Mutex // held from a commit until its events are told

	mu     sync.Mutex // guards the following fields
	wanted func(event string) bool
	queued func()
}

// NewBus returns a bus on a pool that somebody else closes.
func NewBus(pool *pgxpool.Pool, clients Clients) *Bus {
	return &Bus{pool: pool, clients: clients, wanted: func(string) bool { return true }, queued: func() {}}
}

// Webhooks names who delivers to webhooks: wanted spares the database events
// that none wants, queued is called after deliveries were stored. Neither may
// wait.
func (b *Bus) Webhooks(wanted func(event string) bool, queued func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wanted, b.queued = wanted, queued
}

// Publish tells clients of what is not stored, such as somebody who types.
func (b *Bus) Publish(event string, payload any) { b.clients.Publish(event, payload) }

// Tell tells of what is not stored, clients and webhooks; it asks the database
// only when a webhook wants it. Clients are told in any case.
func (b *Bus) Tell(ctx context.Context, event string, payload any) error {
	b.mu.Lock()
	wanted := b.wanted
	b.mu.Unlock()
	if !wanted(event) {
		b.Publish(event, payload)
		return nil
	}
	err := b.Transact(ctx, func(tx *Tx) error {
		tx.Emit(event, payload)
		return nil
	})
	if err != nil {
		b.Publish(event, payload)
		return fmt.Errorf("event %s: %w", event, err)
	}
	return nil
}

// Tx is a transaction with the events that belong to it.
type Tx struct {
	pgx.Tx
	events []emitted
	after  []func()
}

type emitted struct {
	name    string
	payload any
}

// Emit has the event told if the transaction commits, in the order of the calls.
// The payload must not change any more.
func (t *Tx) Emit(event string, payload any) { t.events = append(t.events, emitted{event, payload}) }

// AfterCommit has f called when the transaction is committed and its events are
// told.
func (t *Tx) AfterCommit(f func()) { t.after = append(t.after, f) }

// Transact runs f in a transaction, stores what webhooks are to be told in the
// same one, and tells clients once it is committed: in the order of the commits,
// so that what somebody does with a row they read is told after the row.
func (b *Bus) Transact(ctx context.Context, f func(tx *Tx) error) error {
	raw, err := b.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer raw.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // nothing to do after the commit, and nothing else before
	tx := &Tx{Tx: raw}
	if err := f(tx); err != nil {
		return err
	}
	b.mu.Lock()
	wanted, queued := b.wanted, b.queued
	b.mu.Unlock()
	stored := false
	for _, e := range tx.events {
		if !wanted(e.name) {
			continue
		}
		n, err := store(ctx, raw, e)
		if err != nil {
			return fmt.Errorf("event %s: %w", e.name, err)
		}
		stored = stored || n > 0
	}
	if err := b.commit(ctx, tx); err != nil {
		return err
	}
	for _, f := range tx.after {
		f()
	}
	if stored {
		queued()
	}
	return nil
}

// store writes the event for each webhook that wants it.
func store(ctx context.Context, tx pgx.Tx, e emitted) (deliveries int64, err error) {
	payload, err := json.Marshal(e.payload)
	if err != nil {
		return 0, err
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO webhook_deliveries (webhook_id, event, payload)
		SELECT id, $1, $2 FROM webhooks WHERE active AND (events @> ARRAY[$1] OR events @> ARRAY['*'])`, e.name, payload)
	return tag.RowsAffected(), err
}

func (b *Bus) commit(ctx context.Context, tx *Tx) error {
	if len(tx.events) > 0 {
		b.telling.Lock()
		defer b.telling.Unlock()
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	for _, e := range tx.events {
		b.clients.Publish(e.name, e.payload)
	}
	return nil
}
