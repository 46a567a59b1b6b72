package contacts

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/request"
	"ipnoelp.io/platform/slice/whatsapp"
)

// WhatsApp is asked about one person. Errors are those of package whatsapp.
type WhatsApp interface {
	Profile(ctx context.Context, id string) (whatsapp.Profile, error)
	// Picture returns nil where there is none to see.
	Picture(ctx context.Context, id string) (*whatsapp.File, error)
}

// Service is the API of contacts, labels and custom fields.
type Service struct {
	pool *pgxpool.Pool
	bus  *event.Bus
	wa   WhatsApp
	log  *slog.Logger
}

// New returns a service on a pool that somebody else closes.
func New(pool *pgxpool.Pool, bus *event.Bus, wa WhatsApp, log *slog.Logger) *Service {
	return &Service{pool: pool, bus: bus, wa: wa, log: log}
}

// Register adds the routes.
func (s *Service) Register(mux *http.ServeMux) {
	for pattern, f := range map[string]request.Func{
		"GET /api/contacts":                               s.list,
		"POST /api/contacts":                              s.create,
		"GET /api/contacts/duplicates":                    s.duplicates,
		"GET /api/contacts/export":                        s.export,
		"POST /api/contacts/import":                       s.importCSV,
		"GET /api/contacts/{id}":                          s.get,
		"PATCH /api/contacts/{id}":                        s.update,
		"DELETE /api/contacts/{id}":                       s.delete,
		"PUT /api/contacts/{id}/opt-out":                  s.optOut,
		"DELETE /api/contacts/{id}/opt-out":               s.optIn,
		"POST /api/contacts/{id}/refresh":                 s.refresh,
		"GET /api/contacts/{id}/picture":                  s.picture,
		"POST /api/contacts/{id}/merge":                   s.merge,
		"PUT /api/contacts/{id}/labels/{label_id}":        s.putLabel,
		"DELETE /api/contacts/{id}/labels/{label_id}":     s.removeLabel,
		"GET /api/contacts/{id}/notes":                    s.listNotes,
		"POST /api/contacts/{id}/notes":                   s.createNote,
		"PATCH /api/contacts/{id}/notes/{note_id}":        s.updateNote,
		"DELETE /api/contacts/{id}/notes/{note_id}":       s.deleteNote,
		"GET /api/contacts/{id}/notes/{note_id}/versions": s.noteVersions,
		"GET /api/labels":                                 s.listLabels,
		"POST /api/labels":                                s.createLabel,
		"GET /api/labels/{id}":                            s.getLabel,
		"PATCH /api/labels/{id}":                          s.updateLabel,
		"DELETE /api/labels/{id}":                         s.deleteLabel,
		"POST /api/labels/{id}/contacts":                  s.labelContacts,
		"GET /api/custom-fields":                          s.listFields,
		"POST /api/custom-fields":                         s.createField,
		"PATCH /api/custom-fields/{id}":                   s.updateField,
		"DELETE /api/custom-fields/{id}":                  s.deleteField,
	} {
		mux.Handle(pattern, f)
	}
}

// Run has nothing to do by itself.
func (s *Service) Run(context.Context) {}

// maxBodyBytes holds the longest texts, in whatever way JSON escapes them.
const maxBodyBytes = 256 << 10

func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	return problem.DecodeJSON(w, r, maxBodyBytes, v)
}

// violates reports whether err is of the constraint or unique index.
func violates(err error, constraint string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.ConstraintName == constraint
}
