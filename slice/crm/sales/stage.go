package sales

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
)

const (
	maxNameChars = 80
	maxStages    = 50
)

// Kinds of a stage.
const (
	kindOpen = "open"
	kindWon  = "won"
	kindLost = "lost"
)

// Stage is a step of the pipeline as clients see it.
type Stage struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	Color    string `json:"color"`
	Position int    `json:"position"`
}

const stageColumns = `id, name, kind, color, position`

func scanStage(row pgx.CollectableRow) (Stage, error) {
	var s Stage
	var id int64
	err := row.Scan(&id, &s.Name, &s.Kind, &s.Color, &s.Position)
	s.ID = strconv.FormatInt(id, 10)
	return s, err
}

func stages(ctx context.Context, q database.Querier) ([]Stage, error) {
	return database.Collect(ctx, q, scanStage, `SELECT `+stageColumns+` FROM stages ORDER BY position, id`)
}

func stageOf(ctx context.Context, q database.Querier, id int64) (Stage, error) {
	list, err := database.Collect(ctx, q, scanStage, `SELECT `+stageColumns+` FROM stages WHERE id = $1`, id)
	if err != nil {
		return Stage{}, fmt.Errorf("stage %d: %w", id, err)
	}
	if len(list) == 0 {
		return Stage{}, platform.Errorf(platform.ErrNotFound, "There is no such stage.")
	}
	return list[0], nil
}

// stageInput is the body of POST and PATCH.
type stageInput struct {
	Name  *string `json:"name"`
	Kind  *string `json:"kind"`
	Color *string `json:"color"`
}

// color is a name, such as gray, or #rrggbb.
var color = regexp.MustCompile(`^([a-z]{1,20}|#[0-9a-f]{6})$`)

// into puts what is given into the stage.
func (in stageInput) into(s *Stage) error {
	var faults request.Faults
	if in.Name != nil {
		s.Name = faults.Name("name", *in.Name, maxNameChars)
	}
	if in.Kind != nil {
		if s.Kind = *in.Kind; !slices.Contains([]string{kindOpen, kindWon, kindLost}, s.Kind) {
			faults.Add("kind", "must be open, won or lost")
		}
	}
	if in.Color != nil {
		if s.Color = *in.Color; !color.MatchString(s.Color) {
			faults.Add("color", "must be a name of small letters, or like #0a84ff")
		}
	}
	return faults.Err()
}

func (s *Service) listStages(w http.ResponseWriter, r *http.Request) error {
	list, err := stages(r.Context(), s.pool)
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusOK, map[string]any{"stages": list})
	return nil
}

func (s *Service) getStage(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	stage, err := stageOf(r.Context(), s.pool, id)
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusOK, stage)
	return nil
}

// changeStages runs f while nobody else changes stages.
func (s *Service) changeStages(ctx context.Context, f func(tx *event.Tx) error) error {
	return public(s.bus.Transact(ctx, func(tx *event.Tx) error {
		if _, err := tx.Exec(ctx, `LOCK TABLE stages IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		return f(tx)
	}))
}

func (s *Service) createStage(w http.ResponseWriter, r *http.Request) error {
	var in stageInput
	if err := request.JSON(w, r, &in); err != nil {
		return err
	}
	if in.Name == nil {
		return platform.Invalid(platform.FieldError{Field: "name", Detail: "is required"})
	}
	stage := Stage{Kind: kindOpen, Color: "gray"}
	if err := in.into(&stage); err != nil {
		return err
	}
	ctx := r.Context()
	err := s.changeStages(ctx, func(tx *event.Tx) error {
		all, err := stages(ctx, tx)
		if err != nil {
			return err
		}
		if len(all) >= maxStages {
			return platform.Errorf(platform.ErrConflict, "There are %d stages already, which is the most.", maxStages)
		}
		made, err := database.Collect(ctx, tx, scanStage, `
			INSERT INTO stages (name, kind, color, position)
			SELECT $1, $2, $3, coalesce(max(position), 0) + 1 FROM stages RETURNING `+stageColumns, stage.Name, stage.Kind, stage.Color)
		if err != nil {
			return err
		}
		stage = made[0]
		tx.Emit(EventStageCreated, stage)
		return nil
	})
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusCreated, stage)
	return nil
}

func (s *Service) updateStage(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	var in stageInput
	if err := request.JSON(w, r, &in); err != nil {
		return err
	}
	ctx := r.Context()
	var stage Stage
	err = s.changeStages(ctx, func(tx *event.Tx) error {
		if err := lockStages(ctx, tx, id); err != nil { // no deal comes in meanwhile
			return err
		}
		if stage, err = stageOf(ctx, tx, id); err != nil {
			return err
		}
		was := stage
		if err := in.into(&stage); err != nil || stage == was {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE stages SET name = $2, kind = $3, color = $4 WHERE id = $1`, id, stage.Name, stage.Kind, stage.Color); err != nil {
			return err
		}
		tx.Emit(EventStageUpdated, stage)
		if stage.Kind == was.Kind {
			return nil
		}
		return s.changeKind(ctx, tx, id, stage.Kind)
	})
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusOK, stage)
	return nil
}

// changeKind closes or opens the deals of a stage whose kind changed.
func (s *Service) changeKind(ctx context.Context, tx *event.Tx, id int64, kind string) error {
	deals, err := database.Collect(ctx, tx, scanDeal, dealQuery+` WHERE d.stage_id = $1 ORDER BY d.id FOR UPDATE OF d`, id)
	if err != nil {
		return err
	}
	for _, was := range deals {
		deal := was
		deal.close(kind, true, s.now())
		if err := s.save(ctx, tx, was, &deal, nil); err != nil {
			return err
		}
		tx.Emit(EventDealUpdated, deal)
	}
	return nil
}

func (s *Service) deleteStage(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	var faults request.Faults
	var moveTo int64
	if r.URL.Query().Has("move_to") {
		if moveTo = faults.ID("move_to", faults.Query(r, "move_to", 20)); moveTo == id && len(faults) == 0 {
			faults.Add("move_to", "must be another stage")
		}
	}
	if err := faults.Err(); err != nil {
		return err
	}
	ctx := r.Context()
	err = s.changeStages(ctx, func(tx *event.Tx) error {
		if err := lockStages(ctx, tx, id, moveTo); err != nil {
			return err
		}
		from, err := stageOf(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := s.emptyStage(ctx, tx, from, moveTo); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM stages WHERE id = $1`, id); err != nil {
			return err
		}
		all, err := stages(ctx, tx)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return platform.Errorf(platform.ErrConflict, "This is the last stage; one must stay.")
		}
		tx.Emit(EventStageDeleted, Deleted{from.ID})
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// emptyStage moves all deals to the end of another stage, in their order. The
// caller has locked both.
func (s *Service) emptyStage(ctx context.Context, tx *event.Tx, from Stage, moveTo int64) error {
	var to Stage
	if moveTo != 0 {
		var err error
		if to, err = stageOf(ctx, tx, moveTo); platform.CodeOf(err) == platform.ErrNotFound {
			return platform.Invalid(platform.FieldError{Field: "move_to", Detail: "there is no such stage"})
		} else if err != nil {
			return err
		}
	}
	deals, err := database.Collect(ctx, tx, scanDeal, dealQuery+` WHERE d.stage_id = $1 ORDER BY d.position, d.id FOR UPDATE OF d`, from.ID)
	if err != nil || len(deals) == 0 {
		return err
	}
	if moveTo == 0 {
		return platform.Errorf(platform.ErrConflict, "The stage has %d deals. Say with move_to which stage they go to.", len(deals))
	}
	last, err := lastPosition(ctx, tx, moveTo)
	if err != nil {
		return err
	}
	for i, was := range deals {
		deal := was
		deal.StageID, deal.Position = to.ID, last+float64(i+1)*step
		deal.close(to.Kind, to.Kind != from.Kind, s.now())
		if err := s.save(ctx, tx, was, &deal, changes{"stage": {from.Name, to.Name}}); err != nil {
			return err
		}
		tx.Emit(EventDealMoved, deal)
	}
	return nil
}

func (s *Service) orderStages(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		IDs []string `json:"ids"`
	}
	if err := request.JSON(w, r, &in); err != nil {
		return err
	}
	ctx := r.Context()
	var list []Stage
	err := s.changeStages(ctx, func(tx *event.Tx) error {
		all, err := stages(ctx, tx)
		if err != nil {
			return err
		}
		byID := make(map[string]Stage)
		for _, stage := range all {
			byID[stage.ID] = stage
		}
		list = make([]Stage, 0, len(all))
		for i, id := range in.IDs {
			stage, ok := byID[id]
			if !ok {
				break
			}
			delete(byID, id) // so that each counts once
			if stage.Position != i+1 {
				stage.Position = i + 1
				if _, err := tx.Exec(ctx, `UPDATE stages SET position = $2 WHERE id = $1`, id, stage.Position); err != nil {
					return err
				}
				tx.Emit(EventStageUpdated, stage)
			}
			list = append(list, stage)
		}
		if len(byID) > 0 || len(list) != len(in.IDs) {
			return platform.Invalid(platform.FieldError{Field: "ids", Detail: "must name every stage once"})
		}
		return nil
	})
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusOK, map[string]any{"stages": list})
	return nil
}

// lockStages keeps others from changing the stages' order of deals. Those that
// are not there are left out.
func lockStages(ctx context.Context, tx *event.Tx, ids ...int64) error {
	_, err := tx.Exec(ctx, `SELECT FROM stages WHERE id = ANY($1) ORDER BY id FOR UPDATE`, ids)
	return err
}

func stageOfDeal(ctx context.Context, q database.Querier, dealID int64) (Stage, error) {
	var id int64
	if err := q.QueryRow(ctx, `SELECT stage_id FROM deals WHERE id = $1`, dealID).Scan(&id); err != nil {
		return Stage{}, err
	}
	return stageOf(ctx, q, id)
}
