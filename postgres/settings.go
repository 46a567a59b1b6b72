package postgres

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
)

// signUpByMail is as admins chose it; null if they did not.
const signUpByMail = `CASE WHEN sign_up_by_mail THEN true WHEN sign_up_by_mail_chosen THEN false END`

const selectSettings = `SELECT warm_target, node_cost, price, currency, deletion_grace_days, ` + signUpByMail + ` FROM gateway.settings`

func scanSettings(row pgx.Row) (s platform.Settings, err error) {
	err = row.Scan(&s.WarmTarget, &s.NodeCost, &s.Price, &s.Currency, &s.DeletionGraceDays, &s.SignUpByMail)
	return s, err
}

// Settings returns what admins changed.
func (s *GatewayStore) Settings(ctx context.Context) (platform.Settings, error) {
	set, err := scanSettings(s.db.QueryRow(ctx, selectSettings))
	if err != nil {
		return platform.Settings{}, fmt.Errorf("settings: %w", outage(err))
	}
	return set, nil
}

// UpdateSettings applies change to the settings and returns them. What change
// returns as an error is returned; nothing changed then. Where change leaves them as
// they are there is nothing to put on record.
func (s *GatewayStore) UpdateSettings(ctx context.Context, change func(*platform.Settings) error, by platform.AuditEntry) (set platform.Settings, err error) {
	err = pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		var err error
		if set, err = scanSettings(tx.QueryRow(ctx, selectSettings+` FOR UPDATE`)); err != nil {
			return err
		}
		by.Before = snapshot(set)
		if err := change(&set); err != nil {
			return err
		}
		if by.After = snapshot(set); bytes.Equal(by.Before, by.After) {
			return nil
		}
		if _, err := tx.Exec(ctx, `
			UPDATE gateway.settings SET warm_target = $1, node_cost = $2, price = $3, currency = $4, deletion_grace_days = $5,
				sign_up_by_mail = coalesce($6, false), sign_up_by_mail_chosen = $6 IS NOT NULL`,
			set.WarmTarget, set.NodeCost, set.Price, set.Currency, set.DeletionGraceDays, set.SignUpByMail); err != nil {
			return err
		}
		return insertAudit(ctx, tx, by)
	})
	if err != nil {
		return platform.Settings{}, fmt.Errorf("update settings: %w", outage(err))
	}
	return set, nil
}

// ClaimHistory returns how users got their slices since some time.
func (s *GatewayStore) ClaimHistory(ctx context.Context, since time.Time) (platform.ClaimHistory, error) {
	var h platform.ClaimHistory
	var seconds [3]float64
	b := &pgx.Batch{}
	b.Queue(`
		SELECT count(*), count(*) FILTER (WHERE queue_id IS NULL),
			coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM claimed_at - requested_at)) FILTER (WHERE queue_id IS NOT NULL), 0),
			coalesce(percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM claimed_at - requested_at)) FILTER (WHERE queue_id IS NOT NULL), 0),
			coalesce(max(extract(epoch FROM claimed_at - requested_at)) FILTER (WHERE queue_id IS NOT NULL), 0)::float8
		FROM gateway.claims WHERE claimed_at >= $1`, since).QueryRow(func(row pgx.Row) error {
		return row.Scan(&h.Claims, &h.Hits, &seconds[0], &seconds[1], &seconds[2])
	})
	b.Queue(`
		SELECT date_bin('1 hour', claimed_at, 'epoch') AS hour, count(*), count(*) FILTER (WHERE queue_id IS NULL)
		FROM gateway.claims WHERE claimed_at >= $1 GROUP BY hour ORDER BY hour`, since).Query(func(rows pgx.Rows) (err error) {
		h.Hours, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c platform.ClaimHour, err error) {
			err = row.Scan(&c.At, &c.Claims, &c.Hits)
			return c, err
		})
		return err
	})
	if err := s.db.SendBatch(ctx, b).Close(); err != nil {
		return platform.ClaimHistory{}, fmt.Errorf("claim history: %w", outage(err))
	}
	for i, d := range []*time.Duration{&h.WaitP50, &h.WaitP95, &h.WaitMax} {
		*d = time.Duration(seconds[i] * float64(time.Second))
	}
	return h, nil
}
