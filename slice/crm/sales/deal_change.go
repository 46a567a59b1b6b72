package sales

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
)

const (
	maxTitleChars   = 200
	maxValue        = 1_000_000_000_000_000 // below 2^53, where JavaScript's numbers lose units
	defaultCurrency = "EUR"
	firstDate       = "1970-01-01"
	lastDate        = "2999-12-31"
)

// dealInput is the body of POST and PATCH; stage_id is of POST only.
type dealInput struct {
	Title        *string                  `json:"title"`
	StageID      *string                  `json:"stage_id"`
	ContactID    request.Optional[string] `json:"contact_id"`
	Value        *int64                   `json:"value"`
	Currency     *string                  `json:"currency"`
	ExpectedDate request.Optional[string] `json:"expected_date"`
}

// into puts what is given into the deal.
func (in dealInput) into(d *Deal, faults *request.Faults) {
	if in.Title != nil {
		d.Title = faults.Name("title", *in.Title, maxTitleChars)
	}
	if in.ContactID.Given {
		if d.ContactID = in.ContactID.Value; d.ContactID != nil {
			faults.ID("contact_id", *d.ContactID)
		}
	}
	if in.Value != nil {
		if d.Value = *in.Value; d.Value < 0 || d.Value > maxValue {
			faults.Add("value", "must be from 0 to %d, in the currency's smallest unit", int64(maxValue))
		}
	}
	if in.Currency != nil {
		if d.Currency = *in.Currency; !validCurrency(d.Currency) {
			faults.Add("currency", "must be an ISO 4217 code in use, such as EUR")
		}
	}
	if in.ExpectedDate.Given {
		if d.ExpectedDate = in.ExpectedDate.Value; d.ExpectedDate != nil {
			_, err := time.Parse(time.DateOnly, *d.ExpectedDate)
			if err != nil || *d.ExpectedDate < firstDate || *d.ExpectedDate > lastDate {
				faults.Add("expected_date", "must be a date from %s to %s", firstDate, lastDate)
			}
		}
	}
}

func (s *Service) createDeal(w http.ResponseWriter, r *http.Request) error {
	var in dealInput
	if err := request.JSON(w, r, &in); err != nil {
		return err
	}
	deal := Deal{Currency: defaultCurrency}
	var faults request.Faults
	if in.Title == nil {
		faults.Add("title", "is required")
	}
	in.into(&deal, &faults)
	var stageID int64
	if in.StageID != nil {
		stageID = faults.ID("stage_id", *in.StageID)
	}
	if err := faults.Err(); err != nil {
		return err
	}
	ctx := r.Context()
	err := s.bus.Transact(ctx, func(tx *event.Tx) error {
		if in.StageID == nil {
			all, err := stages(ctx, tx)
			if err != nil {
				return err
			}
			if stageID, err = strconv.ParseInt(all[0].ID, 10, 64); err != nil {
				return err
			}
		}
		stage, last, err := lockedStage(ctx, tx, stageID)
		if err != nil {
			return err
		}
		deal.close(stage.Kind, true, s.now())
		var id int64
		err = tx.QueryRow(ctx, `
			INSERT INTO deals (title, stage_id, position, contact_id, value, currency, expected_date, closed_at, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) RETURNING id`, deal.Title, stageID, last+step, deal.ContactID, deal.Value,
			deal.Currency, deal.ExpectedDate, deal.ClosedAt, s.now()).Scan(&id)
		if err != nil {
			return err
		}
		if deal, err = dealOf(ctx, tx, id, ""); err != nil {
			return err
		}
		c := changes{"title": {nil, deal.Title}, "stage_id": {nil, deal.StageID}, "stage": {nil, stage.Name},
			"value": {nil, deal.Value}, "currency": {nil, deal.Currency}}
		c.add("contact_id", nil, deal.ContactID)
		c.add("expected_date", nil, deal.ExpectedDate)
		c.add("closed_at", nil, deal.ClosedAt)
		if err := s.remember(ctx, tx, deal.ID, c); err != nil {
			return err
		}
		tx.Emit(EventDealCreated, deal)
		return nil
	})
	if err != nil {
		return public(err)
	}
	problem.WriteJSON(w, http.StatusCreated, deal)
	return nil
}

func (s *Service) getDeal(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	deal, err := dealOf(r.Context(), s.pool, id, "")
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusOK, deal)
	return nil
}

func (s *Service) updateDeal(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	var in dealInput
	if err := request.JSON(w, r, &in); err != nil {
		return err
	}
	if in.StageID != nil {
		return platform.Invalid(platform.FieldError{Field: "stage_id", Detail: "is changed by moving the deal"})
	}
	ctx := r.Context()
	var deal Deal
	err = s.bus.Transact(ctx, func(tx *event.Tx) error {
		was, err := dealOf(ctx, tx, id, "FOR UPDATE OF d")
		if err != nil {
			return err
		}
		deal = was
		var faults request.Faults
		in.into(&deal, &faults)
		if err := faults.Err(); err != nil || len(between(was, deal)) == 0 {
			return err
		}
		if err := s.save(ctx, tx, was, &deal, nil); err != nil {
			return err
		}
		tx.Emit(EventDealUpdated, deal)
		return nil
	})
	if err != nil {
		return public(err)
	}
	problem.WriteJSON(w, http.StatusOK, deal)
	return nil
}

func (s *Service) deleteDeal(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	ctx := r.Context()
	err = s.bus.Transact(ctx, func(tx *event.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM deals WHERE id = $1`, id)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return platform.Errorf(platform.ErrNotFound, "There is no such deal.")
		}
		tx.Emit(EventDealDeleted, Deleted{strconv.FormatInt(id, 10)})
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Change is one entry of a deal's history.
type Change struct {
	ID      string            `json:"id"`
	At      time.Time         `json:"at"`
	Changes map[string][2]any `json:"changes"`
}

func (s *Service) dealHistory(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	limit, after, err := request.Page(r)
	if err != nil {
		return err
	}
	var before *int64
	if after != nil {
		n, err := strconv.ParseInt(after.ID, 10, 64)
		if err != nil {
			return errOtherCursor
		}
		before = &n
	}
	if _, err := dealOf(r.Context(), s.pool, id, ""); err != nil {
		return err
	}
	list, err := database.Collect(r.Context(), s.pool, func(row pgx.CollectableRow) (Change, error) {
		var c Change
		err := row.Scan(&c.ID, &c.At, &c.Changes)
		c.At = c.At.UTC()
		return c, err
	}, `SELECT id::text, at, changes FROM deal_history WHERE deal_id = $1 AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3`, id, before, limit+1)
	if err != nil {
		return err
	}
	list, next := cut(list, limit, func(c Change) request.Cursor { return request.Cursor{ID: c.ID} })
	problem.WriteJSON(w, http.StatusOK, map[string]any{"history": list, "next_cursor": next})
	return nil
}

var errOtherCursor = platform.Invalid(platform.FieldError{Field: "cursor", Detail: "is not a cursor of this list"})

// cut takes the one too many off a list, and returns the cursor of the next page.
func cut[T any](list []T, limit int, at func(T) request.Cursor) ([]T, *string) {
	if len(list) <= limit {
		return list, nil
	}
	next := at(list[limit-1]).String()
	return list[:limit], &next
}

// pattern has ILIKE find a text as it is.
func pattern(q string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(q) + "%"
}
