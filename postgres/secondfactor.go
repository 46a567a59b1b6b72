package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
)

// SecondFactor returns what a user has beside the password; the zero value for
// nothing.
func (s *GatewayStore) SecondFactor(ctx context.Context, userID string) (platform.SecondFactor, error) {
	var f platform.SecondFactor
	err := s.db.QueryRow(ctx, `
		SELECT f.secret, f.pending, (SELECT count(*) FROM gateway.recovery_codes WHERE user_id = $1), (SELECT count(*) FROM gateway.passkeys WHERE user_id = $1)
		FROM (SELECT) one LEFT JOIN gateway.second_factors f ON f.user_id = $1`, userID).Scan(&f.Secret, &f.Pending, &f.RecoveryCodes, &f.Passkeys)
	if err != nil {
		return f, fmt.Errorf("second factor of user %s: %w", userID, outage(err))
	}
	return f, nil
}

// OfferSecondFactor stores a secret that comes into force with its first code.
// Returns ErrConflict if one is in force.
func (s *GatewayStore) OfferSecondFactor(ctx context.Context, userID string, pending []byte) error {
	tag, err := s.db.Exec(ctx, `
		INSERT INTO gateway.second_factors (user_id, pending) VALUES ($1, $2)
		ON CONFLICT (user_id) DO UPDATE SET pending = excluded.pending WHERE second_factors.secret IS NULL`, userID, pending)
	if err != nil {
		return fmt.Errorf("offer second factor to user %s: %w", userID, outage(err))
	}
	if tag.RowsAffected() == 0 {
		return platform.Errorf(platform.ErrConflict, "You have a second factor already. Remove it first.")
	}
	return nil
}

// EnableSecondFactor puts the offered secret into force, with the step of the
// code that was given and new recovery codes. Returns ErrConflict if another
// was offered meanwhile, and ErrUnauthenticated if the session that asks ended.
func (s *GatewayStore) EnableSecondFactor(ctx context.Context, userID string, session [32]byte, pending []byte, step int64, codes [][32]byte, by platform.AuditEntry) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if _, err := lockSession(ctx, tx, userID, session); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			UPDATE gateway.second_factors SET secret = pending, pending = NULL, last_step = $3
			WHERE user_id = $1 AND pending = $2 AND secret IS NULL`, userID, pending, step)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return platform.Errorf(platform.ErrConflict, "Another secret was offered meanwhile. Begin again.")
		}
		if _, err := replaceCodes(ctx, tx, userID, codes); err != nil {
			return err
		}
		by.Action = "user.second_factor_enable"
		by.Before, by.After = snapshot(map[string]any{"codes": false}), snapshot(map[string]any{"codes": true})
		return insertAudit(ctx, tx, aboutUser(by, userID))
	})
	if err != nil {
		return fmt.Errorf("enable second factor of user %s: %w", userID, outage(err))
	}
	return nil
}

// DisableSecondFactor removes the secret and the recovery codes. Returns
// ErrNotFound if there is none in force, and ErrUnauthenticated if the session that
// asks ended.
func (s *GatewayStore) DisableSecondFactor(ctx context.Context, userID string, session [32]byte, by platform.AuditEntry) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if _, err := lockSession(ctx, tx, userID, session); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `DELETE FROM gateway.second_factors WHERE user_id = $1 AND secret IS NOT NULL`, userID)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return platform.Errorf(platform.ErrNotFound, "There is no second factor.")
		}
		if _, err := replaceCodes(ctx, tx, userID, nil); err != nil {
			return err
		}
		by.Action = "user.second_factor_disable"
		by.Before, by.After = snapshot(map[string]any{"codes": true}), snapshot(map[string]any{"codes": false})
		return insertAudit(ctx, tx, aboutUser(by, userID))
	})
	if err != nil {
		return fmt.Errorf("disable second factor of user %s: %w", userID, outage(err))
	}
	return nil
}

// ResetSecondFactors removes everything that a user has beside the password:
// the secret, the recovery codes, and the passkeys; of those the user is told.
// Returns ErrNotFound if there is nothing.
func (s *GatewayStore) ResetSecondFactors(ctx context.Context, userID string, by platform.AuditEntry) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		email, err := lockUser(ctx, tx, userID)
		if err != nil {
			return err
		}
		some, err := removeFactors(ctx, tx, userID, email, by)
		if err == nil && !some {
			err = platform.Errorf(platform.ErrNotFound, "There is no second factor.")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("reset second factors of user %s: %w", userID, outage(err))
	}
	return nil
}

// removeFactors is ResetSecondFactors in a transaction that holds the user. It
// reports whether there was anything.
func removeFactors(ctx context.Context, tx pgx.Tx, userID, email string, by platform.AuditEntry) (some bool, err error) {
	codes, err := tx.Exec(ctx, `DELETE FROM gateway.second_factors WHERE user_id = $1 AND secret IS NOT NULL`, userID)
	if err != nil {
		return false, err
	}
	passkeys, err := tx.Exec(ctx, `DELETE FROM gateway.passkeys WHERE user_id = $1`, userID)
	if err != nil || codes.RowsAffected()+passkeys.RowsAffected() == 0 {
		return false, err
	}
	if _, err := replaceCodes(ctx, tx, userID, nil); err != nil {
		return false, err
	}
	if passkeys.RowsAffected() > 0 {
		if err := queueMail(ctx, tx, platform.MailPasskeyRemoved, userID, email); err != nil {
			return false, err
		}
	}
	by.Action = "user.second_factor_reset"
	by.Before = snapshot(map[string]any{"codes": codes.RowsAffected() > 0, "passkeys": passkeys.RowsAffected()})
	by.After = snapshot(map[string]any{"codes": false, "passkeys": 0})
	return true, insertAudit(ctx, tx, aboutUser(by, userID))
}

// ReplaceRecoveryCodes makes the old codes worthless. Returns ErrNotFound if
// there is no second factor in force, and ErrUnauthenticated if the session that asks
// ended.
func (s *GatewayStore) ReplaceRecoveryCodes(ctx context.Context, userID string, session [32]byte, codes [][32]byte, by platform.AuditEntry) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if _, err := lockSession(ctx, tx, userID, session); err != nil {
			return err
		}
		var in bool
		err := tx.QueryRow(ctx, `SELECT true FROM gateway.second_factors WHERE user_id = $1 AND secret IS NOT NULL FOR UPDATE`, userID).Scan(&in)
		if err != nil {
			return notFound(err, "There is no second factor.")
		}
		before, err := replaceCodes(ctx, tx, userID, codes)
		if err != nil {
			return err
		}
		by.Action = "user.recovery_codes_replace"
		by.Before, by.After = snapshot(map[string]any{"recovery_codes": before}), snapshot(map[string]any{"recovery_codes": len(codes)})
		return insertAudit(ctx, tx, aboutUser(by, userID))
	})
	if err != nil {
		return fmt.Errorf("replace recovery codes of user %s: %w", userID, outage(err))
	}
	return nil
}

// replaceCodes returns how many codes there were.
func replaceCodes(ctx context.Context, tx pgx.Tx, userID string, codes [][32]byte) (int64, error) {
	tag, err := tx.Exec(ctx, `DELETE FROM gateway.recovery_codes WHERE user_id = $1`, userID)
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO gateway.recovery_codes (user_id, code_hash) SELECT $1, unnest($2::bytea[])`, userID, byteKeys(codes))
	return tag.RowsAffected(), err
}

// UseCodeStep reports whether no code of this time step, or a later one, was
// used before; from now on it was.
func (s *GatewayStore) UseCodeStep(ctx context.Context, userID string, step int64) (bool, error) {
	tag, err := s.db.Exec(ctx, `
		UPDATE gateway.second_factors SET last_step = $2 WHERE user_id = $1 AND secret IS NOT NULL AND last_step < $2`, userID, step)
	if err != nil {
		return false, fmt.Errorf("use code of user %s: %w", userID, outage(err))
	}
	return tag.RowsAffected() == 1, nil
}

// UseRecoveryCode reports whether the user had this code; it is used up.
func (s *GatewayStore) UseRecoveryCode(ctx context.Context, userID string, hash [32]byte, by platform.AuditEntry) (bool, error) {
	used := false
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM gateway.recovery_codes WHERE user_id = $1 AND code_hash = $2`, userID, hash[:])
		if used = tag.RowsAffected() == 1; err != nil || !used {
			return err
		}
		var left int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM gateway.recovery_codes WHERE user_id = $1`, userID).Scan(&left); err != nil {
			return err
		}
		by.Action = "user.recovery_code_use"
		by.Before, by.After = snapshot(map[string]any{"recovery_codes": left + 1}), snapshot(map[string]any{"recovery_codes": left})
		return insertAudit(ctx, tx, aboutUser(by, userID))
	})
	if err != nil {
		return false, fmt.Errorf("use recovery code of user %s: %w", userID, outage(err))
	}
	return used, nil
}
