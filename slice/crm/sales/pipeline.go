package sales

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
)

const maxSearchChars = 100

// listDeals answers with deals in the order of a stage, or the newest first.
func (s *Service) listDeals(w http.ResponseWriter, r *http.Request) error {
	limit, after, err := request.Page(r)
	if err != nil {
		return err
	}
	var faults request.Faults
	args := []any{limit + 1}
	var where []string
	add := func(condition string, values ...any) {
		for _, v := range values {
			args = append(args, v)
			condition = strings.Replace(condition, "?", fmt.Sprintf("$%d", len(args)), 1)
		}
		where = append(where, condition)
	}
	stage := faults.Query(r, "stage", 20)
	if r.URL.Query().Has("stage") {
		add("d.stage_id = ?", faults.ID("stage", stage))
	}
	if contact := faults.Query(r, "contact", 20); r.URL.Query().Has("contact") {
		add("d.contact_id = ?", faults.ID("contact", contact))
	}
	if q := faults.Query(r, "q", maxSearchChars); q != "" {
		add("(d.title ILIKE ? OR "+contactName+" ILIKE ?)", pattern(q), pattern(q))
	}
	order := "d.id DESC"
	at := func(d Deal) request.Cursor { return request.Cursor{ID: d.ID} }
	if stage != "" {
		order = "d.position, d.id"
		at = atPosition
	}
	if after != nil {
		id, err := strconv.ParseInt(after.ID, 10, 64)
		switch {
		case err != nil:
			return errOtherCursor
		case stage == "":
			add("d.id < ?", id)
		default:
			add("(d.position, d.id) > (?, ?)", math.Float64frombits(uint64(after.Micros)), id)
		}
	}
	if err := faults.Err(); err != nil {
		return err
	}
	query := dealQuery
	if where != nil {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	list, err := database.Collect(r.Context(), s.pool, scanDeal, query+" ORDER BY "+order+" LIMIT $1", args...)
	if err != nil {
		return err
	}
	list, next := cut(list, limit, at)
	problem.WriteJSON(w, http.StatusOK, map[string]any{"deals": list, "next_cursor": next})
	return nil
}

// atPosition is a cursor whose time holds the bits of a position.
func atPosition(d Deal) request.Cursor {
	return request.Cursor{Micros: int64(math.Float64bits(d.Position)), ID: d.ID}
}

// Sum is what deals are worth in one currency.
type Sum struct {
	Currency string `json:"currency"`
	Count    int64  `json:"count"`
	Value    int64  `json:"value"`
}

// Column is a stage with its first deals.
type Column struct {
	Stage
	Count      int64   `json:"count"` // of all its deals
	Sums       []Sum   `json:"sums"`
	Deals      []Deal  `json:"deals"`
	NextCursor *string `json:"next_cursor"` // for the deals of the stage
}

// pipeline answers with all stages, each with its first deals.
func (s *Service) pipeline(w http.ResponseWriter, r *http.Request) error {
	limit, after, err := request.Page(r)
	if err != nil {
		return err
	}
	if after != nil {
		return errOtherCursor
	}
	ctx := r.Context()
	columns := make([]Column, 0)
	// One snapshot, so that counts and deals agree.
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		all, err := stages(ctx, tx)
		if err != nil {
			return err
		}
		byStage := make(map[string]*Column)
		columns = make([]Column, len(all))
		for i, stage := range all {
			columns[i] = Column{Stage: stage, Sums: []Sum{}, Deals: []Deal{}}
			byStage[stage.ID] = &columns[i]
		}
		if err := addSums(r, tx, byStage); err != nil {
			return err
		}
		deals, err := database.Collect(ctx, tx, scanDeal, `
			SELECT `+dealColumns+` FROM stages s
			JOIN LATERAL (SELECT * FROM deals WHERE stage_id = s.id ORDER BY position, id LIMIT $1) d ON true
			LEFT JOIN contacts c ON c.id = d.contact_id ORDER BY d.position, d.id`, limit+1)
		if err != nil {
			return err
		}
		for _, d := range deals {
			byStage[d.StageID].Deals = append(byStage[d.StageID].Deals, d)
		}
		for i := range columns {
			columns[i].Deals, columns[i].NextCursor = cut(columns[i].Deals, limit, atPosition)
		}
		return nil
	})
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusOK, map[string]any{"stages": columns})
	return nil
}

func addSums(r *http.Request, q database.Querier, byStage map[string]*Column) error {
	type row struct {
		stage string
		Sum
	}
	sums, err := database.Collect(r.Context(), q, func(r pgx.CollectableRow) (v row, err error) {
		err = r.Scan(&v.stage, &v.Currency, &v.Count, &v.Value)
		return v, err
	}, `SELECT stage_id::text, currency::text, count(*), least(sum(value), 9223372036854775807)::bigint FROM deals GROUP BY stage_id, currency ORDER BY currency`)
	if err != nil {
		return err
	}
	for _, v := range sums {
		c := byStage[v.stage]
		c.Count += v.Count
		c.Sums = append(c.Sums, v.Sum)
	}
	return nil
}
