package contacts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
	"ipnoelp.io/platform/slice/whatsapp"
)

// pictureAge is how long a browser may show a picture without asking, in seconds.
const pictureAge = "300"

// pictureTypes are the images that no browser runs anything of.
var pictureTypes = []string{"image/jpeg", "image/png", "image/webp", "image/gif"}

// waID returns the id to ask WhatsApp with: the number's where there is one.
func waID(ctx context.Context, q database.Querier, id int64) (string, error) {
	if _, err := find(ctx, q, id); err != nil {
		return "", err
	}
	var wa string
	err := q.QueryRow(ctx, `SELECT wa_id FROM contact_ids WHERE contact_id = $1 ORDER BY wa_id LIKE '%@c.us' DESC, wa_id LIMIT 1`, id).Scan(&wa)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", platform.Errorf(platform.ErrNotFound, "WhatsApp does not know this contact.")
	}
	return wa, err
}

// asked makes an error of the engine one for clients.
func asked(err error) error {
	switch {
	case errors.Is(err, whatsapp.ErrNotReady):
		return platform.Errorf(platform.ErrUnavailable, "WhatsApp is not ready. Try again in a moment.").WithCause(err)
	case errors.Is(err, whatsapp.ErrNotFound), errors.Is(err, whatsapp.ErrRefused):
		return platform.Errorf(platform.ErrNotFound, "WhatsApp does not have it.").WithCause(err)
	}
	return platform.Errorf(platform.ErrUnavailable, "WhatsApp could not be asked. Try again in a moment.").WithCause(err)
}

func (s *Service) refresh(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	wa, err := waID(r.Context(), s.pool, id)
	if err != nil {
		return err
	}
	p, err := s.wa.Profile(r.Context(), wa) // before the transaction: it may take seconds
	if err != nil {
		return asked(err)
	}
	return s.change(w, r, nil, func(ctx context.Context, tx *event.Tx, id int64) error {
		name := p.Name
		if name == "" {
			name = p.PushName
		}
		seen, err := Seen(ctx, tx, wa, p.Phone, name)
		if err != nil {
			return err
		}
		if seen != id {
			return platform.Errorf(platform.ErrConflict, "This is contact %d now.", seen)
		}
		if _, err := tx.Exec(ctx, `UPDATE contacts SET is_business = $2 WHERE id = $1 AND is_business <> $2`, id, p.IsBusiness); err != nil {
			return fmt.Errorf("profile of contact %d: %w", id, err)
		}
		return nil
	})
}

func (s *Service) picture(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	wa, err := waID(r.Context(), s.pool, id)
	if err != nil {
		return err
	}
	file, err := s.wa.Picture(r.Context(), wa)
	if err != nil {
		return asked(err)
	}
	if file == nil || !slices.Contains(pictureTypes, http.DetectContentType(file.Data)) {
		return platform.Errorf(platform.ErrNotFound, "There is no picture to see.")
	}
	h := w.Header()
	h.Set("Content-Type", http.DetectContentType(file.Data))
	h.Set("Cache-Control", "private, max-age="+pictureAge)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	w.Write(file.Data) //nolint:gosec // of an image type, and in a sandbox
	return nil
}
