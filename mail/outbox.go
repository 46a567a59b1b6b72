package mail

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"ipnoelp.io/platform"
)

// Files is an outbox: a folder with one file for each mail. It is for demos and
// tests: the links in mails are as good as passwords.
type Files struct {
	Dir  string
	From string
}

// Send writes the mail to "mail-<id>.eml".
func (f Files) Send(_ context.Context, m platform.Mail) error {
	msg, err := compose(f.From, m, domainOf(f.From))
	if err != nil {
		return fmt.Errorf("mail %d: %w", m.ID, err)
	}
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	// Whoever watches the folder sees whole mails only.
	path := filepath.Join(f.Dir, fmt.Sprintf("mail-%d.eml", m.ID))
	tmp, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	_, err = msg.WriteTo(tmp)
	if closed := tmp.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err != nil {
		return fmt.Errorf("outbox: mail %d: %w", m.ID, err)
	}
	return nil
}

// Log is an outbox: mails are events in the program's log. It is for demos: the
// links in mails are as good as passwords.
type Log struct{ Log *slog.Logger }

// Send writes the mail to the log.
func (l Log) Send(ctx context.Context, m platform.Mail) error {
	l.Log.InfoContext(ctx, "outbox", "mail_id", m.ID, "to", m.To, "subject", m.Subject, "text", m.Text)
	return nil
}
