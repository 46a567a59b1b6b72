package contacts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
)

func (s *Service) get(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	c, err := find(r.Context(), s.pool, id)
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusOK, c)
	return nil
}

// input is what a client says of a contact.
type input struct {
	Name    request.Optional[string]                     `json:"name"`
	Company request.Optional[string]                     `json:"company"`
	Email   request.Optional[string]                     `json:"email"`
	Phone   request.Optional[string]                     `json:"phone"`
	Custom  request.Optional[map[string]json.RawMessage] `json:"custom"`
}

// text returns what is given; null is "".
func text(o request.Optional[string]) string {
	if o.Value == nil {
		return ""
	}
	return *o.Value
}

// changes is a checked input; nil keeps what is there.
type changes struct {
	name, company, email *string
	phone                *string // "" for none
	custom               map[string]any
	removed              []string // keys of custom
}

func (in input) check(fields map[string]Field, faults *request.Faults) (ch changes) {
	if in.Name.Given {
		v := checkLine(faults, "name", text(in.Name), maxNameChars)
		ch.name = &v
	}
	if in.Company.Given {
		v := checkLine(faults, "company", text(in.Company), maxNameChars)
		ch.company = &v
	}
	if in.Email.Given {
		v := checkEmail(faults, text(in.Email))
		ch.email = &v
	}
	if in.Phone.Given {
		v := ""
		if in.Phone.Value != nil {
			v = checkPhone(faults, *in.Phone.Value)
		}
		ch.phone = &v
	}
	ch.custom = make(map[string]any)
	ch.removed = make([]string, 0)
	if in.Custom.Value != nil {
		for key, raw := range *in.Custom.Value {
			field, ok := fields[key]
			switch {
			case !ok:
				faults.Add("custom", "there is no custom field %.100q", key)
			case string(raw) == "null":
				ch.removed = append(ch.removed, key)
			default:
				ch.custom[key] = field.check(faults, raw)
			}
		}
	}
	return ch
}

// owner returns the contact that a phone number belongs to, 0 for none.
func owner(ctx context.Context, q database.Querier, phone string) (id int64, err error) {
	err = q.QueryRow(ctx, `
		SELECT id FROM contacts WHERE phone = $1 UNION ALL
		SELECT contact_id FROM contact_ids WHERE wa_id = substr($1, 2) || '@c.us' LIMIT 1`, phone).Scan(&id)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("owner of a phone: %w", err)
	}
	return id, nil
}

func errPhoneTaken(id int64) error {
	e := platform.Errorf(platform.ErrConflict, "Contact %d has this phone number.", id)
	e.Fields = []platform.FieldError{{Field: "phone", Detail: fmt.Sprintf("belongs to contact %d", id)}}
	return e
}

// taken makes the violation of a phone that came in between one that a client
// understands.
func taken(err error) error {
	if violates(err, "contacts_phone_key") {
		return platform.Errorf(platform.ErrConflict, "Another contact has got this phone number just now. Try again.")
	}
	return err
}

func (s *Service) create(w http.ResponseWriter, r *http.Request) error {
	var in input
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	ctx := r.Context()
	var c Contact
	err := s.bus.Transact(ctx, func(tx *event.Tx) error {
		fields, err := fieldsByKey(ctx, tx)
		if err != nil {
			return err
		}
		var faults request.Faults
		ch := in.check(fields, &faults)
		if len(faults) == 0 && text(in.Phone) == "" && (ch.name == nil || *ch.name == "") {
			faults.Add("phone", "is required where there is no name")
		}
		if err := faults.Err(); err != nil {
			return err
		}
		if ch.phone != nil && *ch.phone != "" {
			id, err := owner(ctx, tx, *ch.phone)
			if err != nil {
				return err
			}
			if id != 0 {
				return errPhoneTaken(id)
			}
		}
		var id int64
		err = tx.QueryRow(ctx, `
			INSERT INTO contacts (name, company, email, phone, custom)
			VALUES (coalesce($1, ''), coalesce($2, ''), coalesce($3, ''), nullif($4, ''), $5) RETURNING id`,
			ch.name, ch.company, ch.email, ch.phone, ch.custom).Scan(&id)
		if err != nil {
			return fmt.Errorf("create contact: %w", err)
		}
		if c, err = find(ctx, tx, id); err == nil {
			tx.Emit("contact:created", c)
		}
		return err
	})
	if err != nil {
		return taken(err)
	}
	problem.WriteJSON(w, http.StatusCreated, c)
	return nil
}

func (s *Service) update(w http.ResponseWriter, r *http.Request) error {
	var in input
	return s.change(w, r, &in, func(ctx context.Context, tx *event.Tx, id int64) error {
		fields, err := fieldsByKey(ctx, tx)
		if err != nil {
			return err
		}
		var faults request.Faults
		ch := in.check(fields, &faults)
		if err := faults.Err(); err != nil {
			return err
		}
		if ch.phone != nil {
			if err := checkNewPhone(ctx, tx, id, *ch.phone); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `
			UPDATE contacts SET name = coalesce($2, name), company = coalesce($3, company), email = coalesce($4, email),
				phone = CASE WHEN $5::text IS NULL THEN phone ELSE nullif($5, '') END, custom = (custom || $6) - $7::text[], updated_at = now()
			WHERE id = $1`, id, ch.name, ch.company, ch.email, ch.phone, ch.custom, ch.removed)
		return taken(err)
	})
}

// checkNewPhone refuses a phone number that another contact has, and any where
// WhatsApp says which it is.
func checkNewPhone(ctx context.Context, tx database.Querier, id int64, phone string) error {
	var old *string
	var bound bool
	if err := tx.QueryRow(ctx, `SELECT phone, EXISTS (SELECT FROM contact_ids WHERE contact_id = $1) FROM contacts WHERE id = $1`, id).Scan(&old, &bound); err != nil {
		return fmt.Errorf("phone of contact %d: %w", id, err)
	}
	if old != nil && bound && *old != phone {
		e := platform.Errorf(platform.ErrConflict, "The phone number comes from WhatsApp and cannot be changed.")
		e.Fields = []platform.FieldError{{Field: "phone", Detail: "comes from WhatsApp"}}
		return e
	}
	if phone == "" {
		return nil
	}
	other, err := owner(ctx, tx, phone)
	if err == nil && other != 0 && other != id {
		err = errPhoneTaken(other)
	}
	return err
}

// change reads a body into in unless that is nil, changes the contact of the
// path with f, tells it and answers with it.
func (s *Service) change(w http.ResponseWriter, r *http.Request, in any, f func(ctx context.Context, tx *event.Tx, id int64) error) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	if in != nil {
		if err := readJSON(w, r, in); err != nil {
			return err
		}
	}
	ctx := r.Context()
	var c Contact
	err = s.bus.Transact(ctx, func(tx *event.Tx) error {
		if err := lock(ctx, tx, id); err != nil {
			return err
		}
		if err := f(ctx, tx, id); err != nil {
			return err
		}
		var err error
		if c, err = find(ctx, tx, id); err == nil {
			tx.Emit("contact:updated", c)
		}
		return err
	})
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusOK, c)
	return nil
}

func (s *Service) optOut(w http.ResponseWriter, r *http.Request) error {
	return s.change(w, r, nil, func(ctx context.Context, tx *event.Tx, id int64) error {
		_, err := tx.Exec(ctx, `UPDATE contacts SET opted_out_at = now(), updated_at = now() WHERE id = $1 AND opted_out_at IS NULL`, id)
		return err
	})
}

func (s *Service) optIn(w http.ResponseWriter, r *http.Request) error {
	return s.change(w, r, nil, func(ctx context.Context, tx *event.Tx, id int64) error {
		_, err := tx.Exec(ctx, `UPDATE contacts SET opted_out_at = NULL, updated_at = now() WHERE id = $1 AND opted_out_at IS NOT NULL`, id)
		return err
	})
}

// delete forgets a contact with its notes, labels and opt-out. Its chats stay;
// who writes again is a new contact.
func (s *Service) delete(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	err = s.bus.Transact(r.Context(), func(tx *event.Tx) error {
		tag, err := tx.Exec(r.Context(), `DELETE FROM contacts WHERE id = $1`, id)
		if err != nil {
			return fmt.Errorf("delete contact %d: %w", id, err)
		}
		if tag.RowsAffected() == 0 {
			return errNoContact()
		}
		tx.Emit("contact:deleted", map[string]string{"id": strconv.FormatInt(id, 10)})
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// oneLineEnd makes all ends of lines the same.
var oneLineEnd = strings.NewReplacer("\r\n", "\n", "\r", "\n")
