package campaigns

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform/slice/alarm"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/request"
	"ipnoelp.io/platform/slice/whatsapp"
)

// WhatsApp knows whose the account is.
type WhatsApp interface {
	// Status returns the present status at once.
	Status() whatsapp.Status
}

// Service keeps quick replies, scheduled messages and broadcasts.
type Service struct {
	pool   *pgxpool.Pool
	bus    *event.Bus
	wa     WhatsApp
	outbox Outbox
	log    *slog.Logger

	dueAlarm       *alarm.Alarm // of scheduled messages
	broadcastAlarm *alarm.Alarm

	retryDue time.Duration // the latest pause; belongs to the goroutine of dueAlarm

	// The following fields belong to the goroutine of broadcastAlarm.
	told map[int64]progress
	look time.Duration // until the outbox is looked at again
	from string        // the account that broadcasts went from last; "" is none yet
}

// New returns a service that sends nothing before Run.
func New(pool *pgxpool.Pool, bus *event.Bus, wa WhatsApp, outbox Outbox, log *slog.Logger) *Service {
	s := &Service{pool: pool, bus: bus, wa: wa, outbox: outbox, log: log, told: make(map[int64]progress), look: firstLook}
	s.dueAlarm = alarm.New("scheduled messages", log, s.sendDue)
	s.broadcastAlarm = alarm.New("broadcasts", log, s.runBroadcasts)
	return s
}

// Register adds the routes.
func (s *Service) Register(mux *http.ServeMux) {
	mux.Handle("GET /api/quick-replies", request.Func(s.listQuickReplies))
	mux.Handle("POST /api/quick-replies", request.Func(s.createQuickReply))
	mux.Handle("GET /api/quick-replies/{id}", request.Func(s.getQuickReply))
	mux.Handle("PATCH /api/quick-replies/{id}", request.Func(s.updateQuickReply))
	mux.Handle("DELETE /api/quick-replies/{id}", request.Func(s.deleteQuickReply))
	mux.Handle("POST /api/quick-replies/{id}/render", request.Func(s.renderQuickReply))

	mux.Handle("GET /api/scheduled-messages", request.Func(s.listScheduled))
	mux.Handle("POST /api/scheduled-messages", request.Func(s.createScheduled))
	mux.Handle("GET /api/scheduled-messages/{id}", request.Func(s.getScheduled))
	mux.Handle("PATCH /api/scheduled-messages/{id}", request.Func(s.updateScheduled))
	mux.Handle("POST /api/scheduled-messages/{id}/cancel", request.Func(s.cancelScheduled))

	mux.Handle("GET /api/broadcasts", request.Func(s.listBroadcasts))
	mux.Handle("POST /api/broadcasts", request.Func(s.createBroadcast))
	mux.Handle("GET /api/broadcasts/{id}", request.Func(s.getBroadcast))
	mux.Handle("PATCH /api/broadcasts/{id}", request.Func(s.updateBroadcast))
	mux.Handle("DELETE /api/broadcasts/{id}", request.Func(s.deleteBroadcast))
	mux.Handle("GET /api/broadcasts/{id}/preview", request.Func(s.previewBroadcast))
	mux.Handle("POST /api/broadcasts/{id}/start", request.Func(s.startBroadcast))
	mux.Handle("POST /api/broadcasts/{id}/pause", s.move(paused, running))
	mux.Handle("POST /api/broadcasts/{id}/resume", s.move(running, paused))
	mux.Handle("POST /api/broadcasts/{id}/cancel", s.move(cancelled, running, paused))
	mux.Handle("GET /api/broadcasts/{id}/recipients", request.Func(s.listRecipients))
}

// Run sends what is due until ctx ends.
func (s *Service) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { s.dueAlarm.Run(ctx) })
	wg.Go(func() { s.broadcastAlarm.Run(ctx) })
	wg.Wait()
}
