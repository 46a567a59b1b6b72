package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Settings are what the user chose.
type Settings struct {
	ReadReceipts       bool `json:"read_receipts"`        // customers see that their messages were read
	SendPerMinute      int  `json:"send_per_minute"`      // messages, after a burst
	BroadcastPerMinute int  `json:"broadcast_per_minute"` // of them to recipients of broadcasts
}

// settingsKey is the row of table settings.
const settingsKey = "inbox"

func defaultSettings() *Settings {
	return &Settings{SendPerMinute: defaultPerMinute, BroadcastPerMinute: defaultBroadcastPerMinute}
}

func (s *Service) loadSettings(ctx context.Context) error {
	loaded := defaultSettings() // what the row does not name keeps its default
	var value []byte
	err := s.store.pool.QueryRow(ctx, `SELECT value FROM settings WHERE key = $1`, settingsKey).Scan(&value)
	switch {
	case err == nil:
		err = json.Unmarshal(value, loaded)
	case errors.Is(err, pgx.ErrNoRows):
		err = nil
	}
	if err != nil {
		return fmt.Errorf("load settings: %w", err)
	}
	s.settings.Store(loaded)
	return nil
}

func (s *Service) saveSettings(ctx context.Context, set Settings) error {
	_, err := s.store.pool.Exec(ctx, `
		INSERT INTO settings (key, value) VALUES ($1, $2)
		ON CONFLICT (key) DO UPDATE SET value = $2, updated_at = now()`, settingsKey, set)
	if err != nil {
		return fmt.Errorf("save settings: %w", err)
	}
	s.settings.Store(&set)
	s.wakeOutbox() // the pace may be another one
	return nil
}
