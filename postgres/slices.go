package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/provisioner"
)

// ProvisionerStore reads and writes the records of slices and generations as
// the role provisioner may. It is safe for concurrent use.
type ProvisionerStore struct {
	db *pgxpool.Pool
}

var _ provisioner.Records = (*ProvisionerStore)(nil)

// NewProvisionerStore returns a store over a pool that the caller closes.
func NewProvisionerStore(db *pgxpool.Pool) *ProvisionerStore { return &ProvisionerStore{db: db} }

// Pool reads, as of one instant, all records that are not gone and, of the
// others, those with the given numbers.
func (s *ProvisionerStore) Pool(ctx context.Context, generation int64, gone []int) (provisioner.Pool, error) {
	var p provisioner.Pool
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, s.db, snapshot, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		b.Queue(`SELECT now(), (SELECT count(*) FROM gateway.queue), coalesce((SELECT warm_target FROM gateway.settings), 0)`).QueryRow(func(row pgx.Row) error {
			return row.Scan(&p.Now, &p.Queued, &p.Target)
		})
		b.Queue(`
			SELECT number, state, generation, coalesce(user_id::text, ''), failure, requested_at, state_changed_at
			FROM gateway.slices WHERE state <> 'gone' OR number = ANY ($1) ORDER BY number`, gone).Query(func(rows pgx.Rows) (err error) {
			p.Slices, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (sl platform.Slice, err error) {
				err = row.Scan(&sl.Number, &sl.State, &sl.Generation, &sl.UserID, &sl.Failure, &sl.RequestedAt, &sl.StateChangedAt)
				return sl, err
			})
			return err
		})
		// In a row: those made after the last one that became warm.
		b.Queue(`
			SELECT count(*), coalesce(max(state_changed_at), 'epoch') FROM gateway.slices
			WHERE generation = $1 AND failure <> '' AND warm_at IS NULL AND number >
				coalesce((SELECT max(number) FROM gateway.slices WHERE generation = $1 AND warm_at IS NOT NULL), 0)`,
			generation).QueryRow(func(row pgx.Row) error {
			return row.Scan(&p.Failures, &p.LastFailure)
		})
		return tx.SendBatch(ctx, b).Close()
	})
	if err != nil {
		return provisioner.Pool{}, fmt.Errorf("read slices: %w", err)
	}
	return p, nil
}

// maxTaken bounds the search for a free number.
const maxTaken = 100_000

// Request adds a record in state requested and returns its number, which is
// none of those taken. A number that was drawn is not drawn again, even when
// its transaction is rolled back: that is how taken ones are stepped over.
func (s *ProvisionerStore) Request(ctx context.Context, generation int64, taken []int) (int, error) {
	for range maxTaken {
		number, err := s.request(ctx, generation, taken)
		if err != nil {
			return 0, fmt.Errorf("request slice: %w", err)
		}
		if number != 0 {
			return number, nil
		}
	}
	return 0, fmt.Errorf("request slice: %d numbers in a row are in use without a record", maxTaken)
}

// request returns 0 if the number that it drew is taken.
func (s *ProvisionerStore) request(ctx context.Context, generation int64, taken []int) (number int, err error) {
	tx, err := s.db.Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) // no effect after Commit
	if err := tx.QueryRow(ctx, `INSERT INTO gateway.slices (generation) VALUES ($1) RETURNING number`, generation).Scan(&number); err != nil {
		return 0, err
	}
	if slices.Contains(taken, number) {
		return 0, nil
	}
	return number, tx.Commit(ctx)
}

// Transition changes a slice's state if it is from, and reports whether it was.
func (s *ProvisionerStore) Transition(ctx context.Context, number int, from, to platform.SliceState, failure string) (bool, error) {
	tag, err := s.db.Exec(ctx, `
		UPDATE gateway.slices
		SET state = $3, state_changed_at = now(),
			warm_at = CASE WHEN $3 = 'warm' THEN coalesce(warm_at, now()) ELSE warm_at END,
			failure = CASE WHEN $4 <> '' THEN $4 ELSE failure END
		WHERE number = $1 AND state = $2`, number, from, to, failure)
	if err != nil {
		return false, fmt.Errorf("%s: %s to %s: %w", platform.SliceName(number), from, to, err)
	}
	return tag.RowsAffected() == 1, nil
}
