package sales

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/slice/alarm"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/request"
)

// Names of the events.
const (
	EventStageCreated = "stage:created" // Stage
	EventStageUpdated = "stage:updated" // Stage; also when its deals got other positions
	EventStageDeleted = "stage:deleted" // Deleted
	EventDealCreated  = "deal:created"  // Deal
	EventDealUpdated  = "deal:updated"  // Deal
	EventDealMoved    = "deal:moved"    // Deal
	EventDealDeleted  = "deal:deleted"  // Deleted
	EventTaskCreated  = "task:created"  // Task
	EventTaskUpdated  = "task:updated"  // Task
	EventTaskDeleted  = "task:deleted"  // Deleted
	EventTaskDue      = "task:due"      // Task
)

// Deleted is the event of what is gone.
type Deleted struct {
	ID string `json:"id"`
}

// Service is the module. All methods are safe for concurrent use.
type Service struct {
	pool      *pgxpool.Pool
	bus       *event.Bus
	reminders *alarm.Alarm
	now       func() time.Time
}

// New returns the module on a pool that somebody else closes.
func New(pool *pgxpool.Pool, bus *event.Bus, log *slog.Logger) *Service {
	s := &Service{pool: pool, bus: bus, now: time.Now}
	s.reminders = alarm.New("reminders of tasks", log, s.remind)
	return s
}

// Register adds the routes.
func (s *Service) Register(mux *http.ServeMux) {
	for pattern, f := range map[string]request.Func{
		"GET /api/stages":         s.listStages,
		"POST /api/stages":        s.createStage,
		"PUT /api/stages/order":   s.orderStages,
		"GET /api/stages/{id}":    s.getStage,
		"PATCH /api/stages/{id}":  s.updateStage,
		"DELETE /api/stages/{id}": s.deleteStage,

		"GET /api/pipeline":           s.pipeline,
		"GET /api/deals":              s.listDeals,
		"POST /api/deals":             s.createDeal,
		"GET /api/deals/{id}":         s.getDeal,
		"PATCH /api/deals/{id}":       s.updateDeal,
		"DELETE /api/deals/{id}":      s.deleteDeal,
		"POST /api/deals/{id}/move":   s.moveDeal,
		"GET /api/deals/{id}/history": s.dealHistory,

		"GET /api/tasks":         s.listTasks,
		"POST /api/tasks":        s.createTask,
		"GET /api/tasks/{id}":    s.getTask,
		"PATCH /api/tasks/{id}":  s.updateTask,
		"DELETE /api/tasks/{id}": s.deleteTask,
	} {
		mux.Handle(pattern, f)
	}
}

// Run reminds of tasks until ctx ends.
func (s *Service) Run(ctx context.Context) { s.reminders.Run(ctx) }

// references are the columns that name something else, by their constraint.
var references = map[string]platform.FieldError{
	"deals_stage_id_fkey":   {Field: "stage_id", Detail: "there is no such stage"},
	"deals_contact_id_fkey": {Field: "contact_id", Detail: "there is no such contact"},
	"tasks_contact_id_fkey": {Field: "contact_id", Detail: "there is no such contact"},
	"tasks_deal_id_fkey":    {Field: "deal_id", Detail: "there is no such deal"},
}

// public gives what the database refused the form in which clients may see it.
func public(err error) error {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return err
	}
	if field, ok := references[refused.ConstraintName]; ok {
		return platform.Invalid(field)
	}
	if refused.ConstraintName == "stages_by_name" {
		return platform.Errorf(platform.ErrConflict, "There is a stage of this name already.")
	}
	return err
}
