package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
)

// insertAudit adds an entry in the transaction of the change that it is about:
// there is none without the other. The database numbers and times it.
func insertAudit(ctx context.Context, tx pgx.Tx, e platform.AuditEntry) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO gateway.audit_log (actor_id, action, subject_type, subject_id, before, after, request_id, client_addr)
		VALUES (nullif($1, '')::uuid, $2, $3, $4, $5, $6, $7, $8)`,
		e.ActorID, e.Action, e.SubjectType, e.SubjectID, e.Before, e.After, e.RequestID, e.ClientAddr)
	if err != nil {
		return fmt.Errorf("audit %s: %w", e.Action, outage(err))
	}
	return nil
}

// RecordAudit adds an entry about something that changes nothing in this
// database.
func (s *GatewayStore) RecordAudit(ctx context.Context, e platform.AuditEntry) error {
	return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error { return insertAudit(ctx, tx, e) })
}

// ListAudit returns the entries that the filter selects, newest first.
func (s *GatewayStore) ListAudit(ctx context.Context, f platform.AuditFilter) ([]platform.AuditEntry, error) {
	moment := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	rows, err := s.db.Query(ctx, `
		SELECT id, at, coalesce(actor_id::text, ''), action, subject_type, subject_id, before, after, request_id, client_addr
		FROM gateway.audit_log
		WHERE ($1 = '' OR actor_id = nullif($1, '')::uuid)
			AND ($2 = '' OR action = $2)
			AND ($3 = '' OR subject_type = $3)
			AND ($4 = '' OR subject_id = $4)
			AND ($5::timestamptz IS NULL OR at >= $5)
			AND ($6::timestamptz IS NULL OR at < $6)
			AND ($7 = 0 OR id < $7)
		ORDER BY id DESC LIMIT $8`,
		f.ActorID, f.Action, f.SubjectType, f.SubjectID, moment(f.Since), moment(f.Until), f.Below, f.Limit)
	if err != nil {
		return nil, fmt.Errorf("list audit: %w", outage(err))
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e platform.AuditEntry, err error) {
		err = row.Scan(&e.ID, &e.At, &e.ActorID, &e.Action, &e.SubjectType, &e.SubjectID,
			(*[]byte)(&e.Before), (*[]byte)(&e.After), &e.RequestID, &e.ClientAddr)
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("list audit: %w", outage(err))
	}
	return all, nil
}

// snapshot encodes what an audit entry says about a thing before or after a
// change.
func snapshot(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain structs and maps are always encoded
	}
	return b
}
