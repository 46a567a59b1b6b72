package sales

import (
	"context"
	"errors"
	"net/http"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/request"
)

const (
	step   = 1024.0 // between the positions of deals
	minGap = 1e-6   // below it the stage's deals get new positions
)

// lockedStage locks a stage's order and returns the last position in it.
func lockedStage(ctx context.Context, tx *event.Tx, id int64) (stage Stage, last float64, err error) {
	if err := lockStages(ctx, tx, id); err != nil {
		return stage, 0, err
	}
	stage, err = stageOf(ctx, tx, id)
	if platform.CodeOf(err) == platform.ErrNotFound {
		return stage, 0, platform.Invalid(references["deals_stage_id_fkey"])
	}
	if err != nil {
		return stage, 0, err
	}
	last, err = lastPosition(ctx, tx, id)
	return stage, last, err
}

func lastPosition(ctx context.Context, tx *event.Tx, stageID int64) (last float64, err error) {
	err = tx.QueryRow(ctx, `SELECT coalesce(max(position), 0) FROM deals WHERE stage_id = $1`, stageID).Scan(&last)
	return last, err
}

// moveDeal puts a deal into a stage, before or after another one, or at the end.
func (s *Service) moveDeal(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	var in struct {
		StageID  *string `json:"stage_id"`
		BeforeID *string `json:"before_id"`
		AfterID  *string `json:"after_id"`
	}
	if err := request.JSON(w, r, &in); err != nil {
		return err
	}
	var faults request.Faults
	to := place{dealID: id}
	if in.StageID == nil {
		faults.Add("stage_id", "is required")
	} else {
		to.stageID = faults.ID("stage_id", *in.StageID)
	}
	switch {
	case in.BeforeID != nil && in.AfterID != nil:
		faults.Add("after_id", "must not be given with before_id")
	case in.BeforeID != nil:
		to.field, to.neighbour = "before_id", faults.ID("before_id", *in.BeforeID)
	case in.AfterID != nil:
		to.field, to.neighbour = "after_id", faults.ID("after_id", *in.AfterID)
	}
	if to.neighbour == id {
		faults.Add(to.field, "must be another deal")
	}
	if err := faults.Err(); err != nil {
		return err
	}
	var deal Deal
	ctx := r.Context()
	err = s.bus.Transact(ctx, func(tx *event.Tx) error {
		deal, err = s.move(ctx, tx, to)
		return err
	})
	if err != nil {
		return public(err)
	}
	problem.WriteJSON(w, http.StatusOK, deal)
	return nil
}

// place is where a deal is to go.
type place struct {
	dealID, stageID int64
	field           string // before_id, after_id, or "" for the end
	neighbour       int64
}

func (s *Service) move(ctx context.Context, tx *event.Tx, to place) (Deal, error) {
	stage, last, err := lockedStage(ctx, tx, to.stageID)
	if err != nil {
		return Deal{}, err
	}
	was, err := dealOf(ctx, tx, to.dealID, "FOR UPDATE OF d")
	if err != nil {
		return Deal{}, err
	}
	from, err := stageOfDeal(ctx, tx, to.dealID)
	if err != nil {
		return Deal{}, err
	}
	deal := was
	deal.StageID = stage.ID
	deal.Position = last + step
	rebalanced := false
	if to.field != "" {
		var ok bool
		if deal.Position, ok, err = nextTo(ctx, tx, to); err == nil && !ok {
			if err = rebalance(ctx, tx, to.stageID); err == nil {
				rebalanced = true
				deal.Position, _, err = nextTo(ctx, tx, to)
			}
		}
		if err != nil {
			return Deal{}, err
		}
	}
	var more changes
	if from.ID != stage.ID {
		deal.close(stage.Kind, stage.Kind != from.Kind, s.now())
		more = changes{"stage": {from.Name, stage.Name}}
	}
	if err := s.save(ctx, tx, was, &deal, more); err != nil {
		return Deal{}, err
	}
	tx.Emit(EventDealMoved, deal)
	if rebalanced {
		tx.Emit(EventStageUpdated, stage)
	}
	return deal, nil
}

// nextTo returns the position next to the neighbour; not ok when there is no
// room left. The stage is locked.
func nextTo(ctx context.Context, tx *event.Tx, to place) (position float64, ok bool, err error) {
	var at float64
	err = tx.QueryRow(ctx, `SELECT position FROM deals WHERE id = $1 AND stage_id = $2`, to.neighbour, to.stageID).Scan(&at)
	if errors.Is(err, pgx.ErrNoRows) {
		e := platform.Errorf(platform.ErrConflict, "The deal in %s is not in that stage any more.", to.field)
		e.Fields = []platform.FieldError{{Field: to.field, Detail: "is not a deal of that stage"}}
		return 0, false, e
	}
	if err != nil {
		return 0, false, err
	}
	var other *float64
	query := `SELECT max(position) FROM deals WHERE stage_id = $1 AND (position, id) < ($2, $3) AND id <> $4`
	edge := at - step
	if to.field == "after_id" {
		query = `SELECT min(position) FROM deals WHERE stage_id = $1 AND (position, id) > ($2, $3) AND id <> $4`
		edge = at + step
	}
	if err := tx.QueryRow(ctx, query, to.stageID, at, to.neighbour, to.dealID).Scan(&other); err != nil {
		return 0, false, err
	}
	if other == nil {
		return edge, true, nil
	}
	gap := at - *other
	if gap < 0 {
		gap = -gap
	}
	return (at + *other) / 2, gap > minGap, nil
}

// rebalance gives a stage's deals positions with room between.
func rebalance(ctx context.Context, tx *event.Tx, stageID int64) error {
	_, err := tx.Exec(ctx, `
		UPDATE deals SET position = o.n * $2::double precision
		FROM (SELECT id, row_number() OVER (ORDER BY position, id) AS n FROM deals WHERE stage_id = $1) o
		WHERE deals.id = o.id`, stageID, step)
	return err
}
