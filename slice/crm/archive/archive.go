// Package archive gives a tenant everything that the slice has of them, and
// erases it: all, or what it has of one person.
package archive

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/request"
)

// Module serves the export and the erasure.
type Module struct {
	pool *pgxpool.Pool
	bus  *event.Bus
	log  *slog.Logger
}

// New returns the module.
func New(pool *pgxpool.Pool, bus *event.Bus, log *slog.Logger) *Module {
	return &Module{pool: pool, bus: bus, log: log}
}

// Register adds the routes.
func (m *Module) Register(mux *http.ServeMux) {
	mux.Handle("GET /api/export", request.Func(m.export))
	mux.Handle("GET /api/contacts/{id}/data", request.Func(m.preview))
	mux.Handle("DELETE /api/contacts/{id}/data", request.Func(m.eraseContact))
	mux.Handle("DELETE /api/data", request.Func(m.eraseAll))
}

// Run does nothing: what is asked for is done at once.
func (m *Module) Run(context.Context) {}
