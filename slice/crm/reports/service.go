package reports

import (
	"context"
	"net/http"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
)

// Service is the module. All methods are safe for concurrent use.
type Service struct{ pool *pgxpool.Pool }

// New returns the module on a pool that somebody else closes.
func New(pool *pgxpool.Pool) *Service { return &Service{pool} }

// Register adds the routes.
func (s *Service) Register(mux *http.ServeMux) {
	for path, report := range map[string]func(ctx context.Context, q database.Querier, p period) (any, error){
		"messages":      messages,
		"response-time": responseTime,
		"conversations": conversations,
		"pipeline":      pipeline,
		"broadcasts":    broadcasts,
	} {
		mux.Handle("GET /api/reports/"+path, request.Func(func(w http.ResponseWriter, r *http.Request) error {
			p, err := readPeriod(r)
			if err != nil {
				return err
			}
			var answer any
			// One snapshot, so that the figures of one report agree.
			err = pgx.BeginTxFunc(r.Context(), s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
				answer, err = report(r.Context(), tx, p)
				return err
			})
			if err != nil {
				return err
			}
			problem.WriteJSON(w, http.StatusOK, answer)
			return nil
		}))
	}
}

// Run has nothing to do by itself.
func (s *Service) Run(context.Context) {}
