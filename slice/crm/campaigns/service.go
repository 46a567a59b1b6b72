package campaigns

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/request"
	"ipnoelp.io/platform/slice/whatsapp"
)

// WhatsApp knows whose the account is.
type WhatsApp interface {
	// Status returns the present status at once.
	Status() whatsapp.Status
}

// Service keeps quick replies.
type Service struct {
	pool *pgxpool.Pool
	bus  *event.Bus
	wa   WhatsApp
	log  *slog.Logger
}

// New returns a service that sends nothing before Run.
func New(pool *pgxpool.Pool, bus *event.Bus, wa WhatsApp, log *slog.Logger) *Service {
	return &Service{pool: pool, bus: bus, wa: wa, log: log}
}

// Register adds the routes.
func (s *Service) Register(mux *http.ServeMux) {
	mux.Handle("GET /api/quick-replies", request.Func(s.listQuickReplies))
	mux.Handle("POST /api/quick-replies", request.Func(s.createQuickReply))
	mux.Handle("GET /api/quick-replies/{id}", request.Func(s.getQuickReply))
	mux.Handle("PATCH /api/quick-replies/{id}", request.Func(s.updateQuickReply))
	mux.Handle("DELETE /api/quick-replies/{id}", request.Func(s.deleteQuickReply))
	mux.Handle("POST /api/quick-replies/{id}/render", request.Func(s.renderQuickReply))
}

// Run sends what is due until ctx ends.
func (s *Service) Run(context.Context) {}
