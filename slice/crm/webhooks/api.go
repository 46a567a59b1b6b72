package webhooks

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
)

// Register adds the routes.
func (s *Service) Register(mux *http.ServeMux) {
	mux.Handle("GET /api/webhooks", request.Func(s.list))
	mux.Handle("POST /api/webhooks", request.Func(s.create))
	mux.Handle("GET /api/webhooks/{id}", request.Func(s.get))
	mux.Handle("PATCH /api/webhooks/{id}", request.Func(s.update))
	mux.Handle("DELETE /api/webhooks/{id}", request.Func(s.remove))
	mux.Handle("POST /api/webhooks/{id}/rotate-secret", request.Func(s.rotate))
	mux.Handle("POST /api/webhooks/{id}/test", request.Func(s.test))
	mux.Handle("GET /api/webhooks/{id}/deliveries", request.Func(s.deliveries))
	mux.Handle("GET /api/webhooks/{id}/deliveries/{delivery_id}", request.Func(s.delivery))
	mux.Handle("POST /api/webhooks/{id}/deliveries/{delivery_id}/redeliver", request.Func(s.redeliver))
}

// withSecret is the answer that shows a secret, once.
type withSecret struct {
	Webhook
	Secret string `json:"secret"`
}

func errNoWebhook() error { return platform.Errorf(platform.ErrNotFound, "There is no such webhook.") }

func (s *Service) list(w http.ResponseWriter, r *http.Request) error {
	hooks, err := database.Collect(r.Context(), s.pool, scanWebhook, `SELECT `+webhookColumns+` FROM webhooks w ORDER BY id`)
	if err != nil {
		return fmt.Errorf("list webhooks: %w", err)
	}
	problem.WriteJSON(w, http.StatusOK, map[string]any{"webhooks": hooks})
	return nil
}

func getWebhook(ctx context.Context, q database.Querier, id int64) (Webhook, error) {
	hooks, err := database.Collect(ctx, q, scanWebhook, `SELECT `+webhookColumns+` FROM webhooks w WHERE id = $1`, id)
	if err != nil {
		return Webhook{}, fmt.Errorf("webhook %d: %w", id, err)
	}
	if len(hooks) == 0 {
		return Webhook{}, errNoWebhook()
	}
	return hooks[0], nil
}

func (s *Service) get(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	hook, err := getWebhook(r.Context(), s.pool, id)
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusOK, hook)
	return nil
}

// input is what a client says of a webhook.
type input struct {
	URL    request.Optional[string]   `json:"url"`
	Events request.Optional[[]string] `json:"events"`
	Active request.Optional[bool]     `json:"active"`
}

// read reads the body; in a new webhook url and events are required.
func (s *Service) read(w http.ResponseWriter, r *http.Request, isNew bool) (input, error) {
	var in input
	if err := request.JSON(w, r, &in); err != nil {
		return in, err
	}
	var faults request.Faults
	if isNew && !in.URL.Given {
		faults.Add("url", "is required")
	}
	if isNew && !in.Events.Given {
		faults.Add("events", "is required")
	}
	if in.URL.Given {
		if in.URL.Value == nil {
			faults.Add("url", "must not be null")
		} else if fault := checkURL(*in.URL.Value, s.permit); fault != "" {
			faults.Add("url", "%s", fault)
		}
	}
	if in.Events.Given {
		if in.Events.Value == nil || len(*in.Events.Value) == 0 {
			faults.Add("events", "must name at least one event")
		} else {
			for i, name := range *in.Events.Value {
				if name != event.Any && !slices.Contains(event.Names, name) {
					faults.Add(fmt.Sprintf("events[%d]", i), "is not a known event")
					break // a long list is not told name by name
				}
			}
			slices.Sort(*in.Events.Value)
			*in.Events.Value = slices.Compact(*in.Events.Value)
		}
	}
	if in.Active.Given && in.Active.Value == nil {
		faults.Add("active", "must not be null")
	}
	return in, faults.Err()
}

func (s *Service) create(w http.ResponseWriter, r *http.Request) error {
	in, err := s.read(w, r, true)
	if err != nil {
		return err
	}
	answer := withSecret{Secret: newSecret()}
	active := in.Active.Value == nil || *in.Active.Value
	err = s.bus.Transact(r.Context(), func(tx *event.Tx) error {
		// One at a time, so that the bound holds.
		if _, err := tx.Exec(r.Context(), `LOCK TABLE webhooks IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		var count int
		if err := tx.QueryRow(r.Context(), `SELECT count(*) FROM webhooks`).Scan(&count); err != nil {
			return err
		}
		if count >= maxWebhooks {
			return platform.Errorf(platform.ErrConflict, "There are %d webhooks already; that is as many as there can be.", maxWebhooks)
		}
		var id int64
		if err := tx.QueryRow(r.Context(), `INSERT INTO webhooks (url, secret, events, active) VALUES ($1, $2, $3, $4) RETURNING id`,
			*in.URL.Value, answer.Secret, *in.Events.Value, active).Scan(&id); err != nil {
			return err
		}
		answer.Webhook, err = getWebhook(r.Context(), tx, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("create webhook: %w", err)
	}
	s.changed(r.Context())
	problem.WriteJSON(w, http.StatusCreated, answer)
	return nil
}

func (s *Service) update(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	in, err := s.read(w, r, false)
	if err != nil {
		return err
	}
	var events []string // nil: as it is
	if in.Events.Given {
		events = *in.Events.Value
	}
	tag, err := s.pool.Exec(r.Context(), `
		WITH again AS ( -- what waited for the mistake to be corrected waits no longer
			UPDATE webhook_deliveries SET next_attempt_at = least(next_attempt_at, now())
			WHERE webhook_id = $1 AND status = 'pending' AND ($2::text IS NOT NULL OR $4::boolean))
		UPDATE webhooks SET url = coalesce($2, url), events = coalesce($3, events), active = coalesce($4, active),
			disabled_reason = CASE WHEN $4 IS NULL THEN disabled_reason ELSE '' END, updated_at = now()
		WHERE id = $1`, id, in.URL.Value, events, in.Active.Value)
	if err != nil {
		return fmt.Errorf("update webhook %d: %w", id, err)
	}
	if tag.RowsAffected() == 0 {
		return errNoWebhook()
	}
	s.changed(r.Context())
	s.hurry(id)
	hook, err := getWebhook(r.Context(), s.pool, id)
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusOK, hook)
	return nil
}

func (s *Service) remove(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	tag, err := s.pool.Exec(r.Context(), `DELETE FROM webhooks WHERE id = $1`, id)
	if err != nil {
		return fmt.Errorf("delete webhook %d: %w", id, err)
	}
	if tag.RowsAffected() == 0 {
		return errNoWebhook()
	}
	s.changed(r.Context())
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Service) rotate(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	answer := withSecret{Secret: newSecret()}
	if _, err := s.pool.Exec(r.Context(), `UPDATE webhooks SET secret = $2, updated_at = now() WHERE id = $1`, id, answer.Secret); err != nil {
		return fmt.Errorf("rotate secret of webhook %d: %w", id, err)
	}
	if answer.Webhook, err = getWebhook(r.Context(), s.pool, id); err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// test queues a delivery that says nothing.
func (s *Service) test(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	hook, err := getWebhook(r.Context(), s.pool, id)
	if err != nil {
		return err
	}
	if !hook.Active {
		return platform.Errorf(platform.ErrConflict, "The webhook is not active.")
	}
	rows, err := database.Collect(r.Context(), s.pool, scanDelivery, `
		INSERT INTO webhook_deliveries AS d (webhook_id, event, payload)
		SELECT id, 'webhook:test', json_build_object('webhook_id', id::text) FROM webhooks WHERE id = $1
		RETURNING `+deliveryColumns, id)
	if err != nil {
		return fmt.Errorf("test webhook %d: %w", id, err)
	}
	if len(rows) == 0 {
		return errNoWebhook()
	}
	s.hurry(id)
	problem.WriteJSON(w, http.StatusAccepted, rows[0])
	return nil
}

func (s *Service) deliveries(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	limit, after, err := request.Page(r)
	if err != nil {
		return err
	}
	var faults request.Faults
	status := faults.Query(r, "status", 16)
	if r.URL.Query().Has("status") && !slices.Contains([]string{"pending", "delivered", "failed"}, status) {
		faults.Add("status", "must be pending, delivered or failed")
	}
	before := int64(0)
	if after != nil {
		if before = faults.ID("cursor", after.ID); before == 0 {
			return faults.Err()
		}
	}
	if err := faults.Err(); err != nil {
		return err
	}
	if _, err := getWebhook(r.Context(), s.pool, id); err != nil {
		return err
	}
	rows, err := database.Collect(r.Context(), s.pool, scanDelivery, `
		SELECT `+deliveryColumns+` FROM webhook_deliveries d
		WHERE webhook_id = $1 AND ($2 = 0 OR id < $2) AND ($3 = '' OR status = $3)
		ORDER BY id DESC LIMIT $4`, id, before, status, limit+1)
	if err != nil {
		return fmt.Errorf("deliveries of webhook %d: %w", id, err)
	}
	var next *string
	if len(rows) > limit {
		rows = rows[:limit]
		last := rows[limit-1]
		c := request.Cursor{Micros: last.CreatedAt.UnixMicro(), ID: last.ID}.String()
		next = &c
	}
	problem.WriteJSON(w, http.StatusOK, map[string]any{"deliveries": rows, "next_cursor": next})
	return nil
}

// deliveryID reads both ids of the path.
func deliveryID(r *http.Request) (webhook, delivery int64, err error) {
	if webhook, err = request.ID(r, "id"); err != nil {
		return 0, 0, err
	}
	delivery, err = request.ID(r, "delivery_id")
	return webhook, delivery, err
}

func errNoDelivery() error {
	return platform.Errorf(platform.ErrNotFound, "There is no such delivery in the log.")
}

func (s *Service) delivery(w http.ResponseWriter, r *http.Request) error {
	webhook, id, err := deliveryID(r)
	if err != nil {
		return err
	}
	d, err := s.oneDelivery(r.Context(), webhook, id)
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusOK, d)
	return nil
}

func (s *Service) oneDelivery(ctx context.Context, webhook, id int64) (Delivery, error) {
	var d Delivery
	rows, err := s.pool.Query(ctx, `SELECT `+deliveryColumns+`, d.payload FROM webhook_deliveries d WHERE webhook_id = $1 AND id = $2`, webhook, id)
	if err != nil {
		return d, fmt.Errorf("delivery %d: %w", id, err)
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return d, fmt.Errorf("delivery %d: %w", id, err)
		}
		return d, errNoDelivery()
	}
	if err := rows.Scan(append(d.fields(), &d.Data)...); err != nil {
		return d, fmt.Errorf("delivery %s: %w", strconv.FormatInt(id, 10), err)
	}
	d.inUTC()
	return d, nil
}

// redeliver has a delivery sent again, with its id, for as long as a new one.
func (s *Service) redeliver(w http.ResponseWriter, r *http.Request) error {
	webhook, id, err := deliveryID(r)
	if err != nil {
		return err
	}
	hook, err := getWebhook(r.Context(), s.pool, webhook)
	if err != nil {
		return err
	}
	if !hook.Active {
		return platform.Errorf(platform.ErrConflict, "The webhook is not active.")
	}
	if _, err := s.pool.Exec(r.Context(), `
		UPDATE webhook_deliveries SET status = 'pending', attempts = CASE WHEN status = 'pending' THEN attempts ELSE 0 END,
			next_attempt_at = now(), retry_until = now() + interval '24 hours', delivered_at = NULL
		WHERE webhook_id = $1 AND id = $2`, webhook, id); err != nil {
		return fmt.Errorf("redeliver %d: %w", id, err)
	}
	d, err := s.oneDelivery(r.Context(), webhook, id)
	if err != nil {
		return err
	}
	s.hurry(webhook)
	problem.WriteJSON(w, http.StatusAccepted, d)
	return nil
}
