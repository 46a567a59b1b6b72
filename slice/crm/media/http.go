package media

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/singleflight"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/request"
	"ipnoelp.io/platform/slice/whatsapp"
)

// WhatsApp has the files of messages.
type WhatsApp interface {
	// Download writes the file of a message; whatsapp.ErrNotReady,
	// whatsapp.ErrNotFound.
	Download(ctx context.Context, messageID string, w io.Writer) (whatsapp.Media, error)
}

const (
	fetchTimeout  = 3 * time.Minute  // for a whole file
	uploadTimeout = 30 * time.Second // for each part of an upload
)

// Module serves files.
type Module struct {
	store   *Store
	wa      WhatsApp
	log     *slog.Logger
	fetches singleflight.Group // by message: two who look at once have one download
}

// New returns the module.
func New(store *Store, wa WhatsApp, log *slog.Logger) *Module {
	return &Module{store: store, wa: wa, log: log}
}

// Register adds the routes of files.
func (m *Module) Register(mux *http.ServeMux) {
	mux.Handle("POST /api/files", request.Func(m.upload))
	mux.Handle("GET /api/files/{id}", request.Func(m.get))
	mux.Handle("GET /api/messages/{id}/media", request.Func(m.ofMessage))
}

// Run does nothing: files leave when others come.
func (m *Module) Run(context.Context) {}

func (m *Module) upload(w http.ResponseWriter, r *http.Request) error {
	var faults request.Faults
	name := faults.Query(r, "name", 4*maxNameRunes)
	if err := faults.Err(); err != nil {
		return err
	}
	if _, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil {
		return platform.Errorf(platform.ErrUnsupported, "Send the file's type as Content-Type.")
	}
	if r.ContentLength > maxBytes {
		return platform.Errorf(platform.ErrTooLarge, "The file is larger than %d MiB.", maxBytes>>20)
	}
	body := &patient{http.MaxBytesReader(w, r.Body, maxBytes+1), http.NewResponseController(w)}
	f, err := m.store.Create(r.Context(), name, r.Header.Get("Content-Type"), body)
	if err != nil {
		return err
	}
	problem.WriteJSON(w, http.StatusCreated, f)
	return nil
}

// patient is a body that may take as long as it keeps coming.
type patient struct {
	io.Reader
	control *http.ResponseController
}

func (p *patient) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(time.Now().Add(uploadTimeout)) // a test's writer has none
	n, err := p.Reader.Read(b)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		err = platform.Errorf(platform.ErrTooLarge, "The file is larger than %d MiB.", maxBytes>>20)
	}
	return n, err
}

func (m *Module) get(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	return m.serve(w, r, id)
}

func (m *Module) ofMessage(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r, "id")
	if err != nil {
		return err
	}
	fileID, err := m.fileOf(r.Context(), id)
	if err != nil {
		return err
	}
	return m.serve(w, r, fileID)
}

// fileOf returns the file of a message, fetching it first if it is not here.
func (m *Module) fileOf(ctx context.Context, messageID int64) (int64, error) {
	var fileID *int64
	var waID *string
	var name, declared string
	err := m.store.pool.QueryRow(ctx, `
		SELECT file_id, wa_id, coalesce(media->>'name', ''), coalesce(media->>'mime_type', '') FROM messages WHERE id = $1 AND media IS NOT NULL`, messageID).
		Scan(&fileID, &waID, &name, &declared)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return 0, platform.Errorf(platform.ErrNotFound, "There is no such message, or it has no file.")
	case err != nil:
		return 0, fmt.Errorf("file of message %d: %w", messageID, err)
	case fileID != nil:
		return *fileID, nil
	case waID == nil:
		return 0, platform.Errorf(platform.ErrNotFound, "The file of this message is not here any more.")
	}
	// Whoever came first may leave; the others still wait.
	result := m.fetches.DoChan(strconv.FormatInt(messageID, 10), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		return m.fetch(ctx, messageID, *waID, name, declared)
	})
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case r := <-result:
		if r.Err != nil {
			return 0, r.Err
		}
		return r.Val.(int64), nil
	}
}

func (m *Module) fetch(ctx context.Context, messageID int64, waID, name, declared string) (int64, error) {
	in, out := io.Pipe()
	done := make(chan struct{})
	go func() { // ends when Download does, which ends with ctx or with the pipe
		defer close(done)
		_, err := m.wa.Download(ctx, waID, out)
		out.CloseWithError(atWhatsApp(err))
	}()
	f, err := m.store.Create(ctx, name, declared, in)
	in.CloseWithError(io.ErrClosedPipe)
	<-done
	if err != nil {
		return 0, err
	}
	tag, err := m.store.pool.Exec(ctx, `UPDATE messages SET file_id = $2 WHERE id = $1 AND deleted_at IS NULL`, messageID, f.ID)
	if err != nil {
		return 0, fmt.Errorf("file of message %d: %w", messageID, err)
	}
	if tag.RowsAffected() == 0 { // deleted for everyone meanwhile
		return 0, errors.Join(errNoFile, m.store.Delete(ctx, f.ID))
	}
	return f.ID, nil
}

func atWhatsApp(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, whatsapp.ErrNotReady):
		return platform.Errorf(platform.ErrUnavailable, "WhatsApp is not ready. Try again in a moment.").WithCause(err)
	case errors.Is(err, whatsapp.ErrNotFound):
		return platform.Errorf(platform.ErrNotFound, "WhatsApp does not have this file any more.").WithCause(err)
	case errors.Is(err, whatsapp.ErrRefused):
		return platform.Errorf(platform.ErrConflict, "WhatsApp does not give this file.").WithCause(err)
	}
	return platform.Errorf(platform.ErrBadGateway, "WhatsApp did not give the file. Try again.").WithCause(err)
}

// serve answers with a file, or the part of it that is asked for. The headers
// keep a hostile one from running anything at the app's origin.
func (m *Module) serve(w http.ResponseWriter, r *http.Request, id int64) error {
	f, err := m.store.Get(r.Context(), id)
	if err != nil {
		return err
	}
	disposition := "attachment"
	if shown[f.MIMEType] {
		disposition = "inline"
	}
	name := f.Name
	if name == "" {
		name = "file"
	}
	h := w.Header()
	h.Set("Content-Type", f.MIMEType)
	h.Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": name}))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; media-src 'self'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "private, max-age=3600")
	h.Set("ETag", `"`+hex.EncodeToString(f.sha256[:16])+`"`)
	http.ServeContent(w, r, "", time.Time{}, m.store.open(r.Context(), f))
	return nil
}
