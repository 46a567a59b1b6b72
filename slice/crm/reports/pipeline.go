package reports

import (
	"context"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform/slice/database"
)

// Sum is what deals are worth in one currency, in its smallest unit.
type Sum struct {
	Currency string `json:"currency"`
	Count    int64  `json:"count"`
	Value    int64  `json:"value"`
}

// Stage is a stage with what its deals are worth.
type Stage struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	Count int64  `json:"count"`
	Sums  []Sum  `json:"sums"`
}

// sums is what deals are worth, as far as 64 bits hold it.
const sums = `count(d.id), least(coalesce(sum(d.value), 0), 9223372036854775807)::bigint`

// pipeline is how the stages stand now, and what was begun, won and lost in the
// period.
func pipeline(ctx context.Context, q database.Querier, p period) (any, error) {
	answer := struct {
		period
		Stages  []Stage `json:"stages"`
		Created []Sum   `json:"created"`
		Won     []Sum   `json:"won"`
		Lost    []Sum   `json:"lost"`
	}{period: p, Stages: []Stage{}, Created: []Sum{}, Won: []Sum{}, Lost: []Sum{}}
	type row struct {
		Stage
		currency *string // null in a stage without deals
		sum      Sum
	}
	rows, err := database.Collect(ctx, q, func(r pgx.CollectableRow) (v row, err error) {
		err = r.Scan(&v.ID, &v.Name, &v.Kind, &v.currency, &v.sum.Count, &v.sum.Value)
		return v, err
	}, `SELECT s.id::text, s.name, s.kind, d.currency::text, `+sums+`
		FROM stages s LEFT JOIN deals d ON d.stage_id = s.id GROUP BY s.id, d.currency ORDER BY s.position, s.id, d.currency`)
	if err != nil {
		return nil, err
	}
	for _, v := range rows {
		if n := len(answer.Stages); n == 0 || answer.Stages[n-1].ID != v.ID {
			v.Sums = []Sum{}
			answer.Stages = append(answer.Stages, v.Stage)
		}
		if v.currency != nil {
			stage := &answer.Stages[len(answer.Stages)-1]
			v.sum.Currency = *v.currency
			stage.Count += v.sum.Count
			stage.Sums = append(stage.Sums, v.sum)
		}
	}
	type changed struct {
		what string
		Sum
	}
	list, err := database.Collect(ctx, q, func(r pgx.CollectableRow) (v changed, err error) {
		err = r.Scan(&v.what, &v.Currency, &v.Count, &v.Value)
		return v, err
	}, `
		SELECT s.kind, d.currency::text, `+sums+` FROM deals d JOIN stages s ON s.id = d.stage_id AND s.kind <> 'open'
		WHERE d.closed_at >= $1 AND d.closed_at < $2 GROUP BY s.kind, d.currency
		UNION ALL
		SELECT 'created', d.currency::text, `+sums+` FROM deals d WHERE d.created_at >= $1 AND d.created_at < $2 GROUP BY d.currency
		ORDER BY 1, 2`, p.start(), p.end())
	for _, v := range list {
		to := map[string]*[]Sum{"won": &answer.Won, "lost": &answer.Lost, "created": &answer.Created}[v.what]
		*to = append(*to, v.Sum)
	}
	return answer, err
}
