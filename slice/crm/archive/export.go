package archive

import (
	"archive/zip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// table is one that is exported: each row a line of JSON, in this order.
type table struct {
	name, order string
	without     []string // columns that are no data, or secret
}

var tables = []table{
	{"contacts", "id", []string{"sort_name"}}, {"contact_ids", "wa_id", nil}, {"contact_notes", "id", nil}, {"contact_note_versions", "id", nil},
	{"custom_fields", "id", nil}, {"labels", "id", nil}, {"contact_labels", "contact_id, label_id", nil}, {"chat_labels", "chat_id, label_id", nil},
	{"chats", "id", nil}, {"messages", "id", []string{"search"}}, {"reactions", "message_id, sender_id", nil}, {"files", "id", []string{"sha256"}},
	{"quick_replies", "id", nil}, {"scheduled_messages", "id", nil}, {"broadcasts", "id", nil}, {"broadcast_recipients", "broadcast_id, n", nil},
	{"stages", "id", nil}, {"deals", "id", nil}, {"deal_history", "id", nil}, {"tasks", "id", nil},
	{"webhooks", "id", []string{"secret"}}, {"webhook_deliveries", "id", nil}, {"settings", "key", nil}, {"whatsapp_states", "id", nil},
	{"erased_chats", "chat_id", nil},
}

// notExported are the tables that are left out, and why.
var notExported = map[string]string{
	"file_chunks":      "the files themselves are in media/",
	"logins":           "who has the login is the user: it is a secret",
	"login_chunks":     "as logins",
	"goose_db_version": "of the program",
}

const exportTimeout = "30min" // of one statement; the whole of a large account takes minutes

// manifest is the last file of an archive: with it, all is there.
type manifest struct {
	CreatedAt time.Time      `json:"created_at"`
	Schema    int64          `json:"schema_version"`
	Rows      map[string]int `json:"rows"`
	Files     int            `json:"files"`
}

// export streams an archive of all data as of one moment.
func (m *Module) export(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	conn, err := m.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer conn.Release()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // only reads
	if _, err := tx.Exec(ctx, `SET LOCAL statement_timeout = '`+exportTimeout+`'`); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	now := time.Now().UTC()
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": "export-" + now.Format("2006-01-02") + ".zip"}))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if err := write(ctx, tx, w, now); err != nil {
		if ctx.Err() == nil {
			m.log.Error("export was cut off", "error", err)
		}
		panic(http.ErrAbortHandler) // the client must see that it is not whole
	}
	return nil
}

func write(ctx context.Context, tx pgx.Tx, w io.Writer, now time.Time) error {
	archive := zip.NewWriter(w)
	made := manifest{CreatedAt: now, Rows: map[string]int{}}
	for _, t := range tables {
		rows, err := writeTable(ctx, tx, archive, t)
		if err != nil {
			return fmt.Errorf("export %s: %w", t.name, err)
		}
		made.Rows[t.name] = rows
	}
	var err error
	if made.Files, err = writeFiles(ctx, tx, archive); err != nil {
		return fmt.Errorf("export files: %w", err)
	}
	if err := tx.QueryRow(ctx, `SELECT max(version_id) FROM goose_db_version`).Scan(&made.Schema); err != nil {
		return err
	}
	out, err := archive.Create("manifest.json")
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(made); err != nil {
		return err
	}
	return archive.Close()
}

// writeTable writes a table's rows as they come from the server.
func writeTable(ctx context.Context, tx pgx.Tx, archive *zip.Writer, t table) (n int, err error) {
	out, err := archive.Create(t.name + ".jsonl")
	if err != nil {
		return 0, err
	}
	rows, err := tx.Query(ctx, `SELECT (to_jsonb(t) - $1::text[])::text FROM `+t.name+` t ORDER BY `+t.order, append([]string{}, t.without...))
	if err != nil {
		return 0, err
	}
	var line []byte
	_, err = pgx.ForEachRow(rows, []any{&line}, func() error {
		n++
		_, err := out.Write(append(line, '\n'))
		return err
	})
	return n, err
}

// writeFiles writes the files, each a chunk at a time. Its id makes a name unique.
func writeFiles(ctx context.Context, tx pgx.Tx, archive *zip.Writer) (int, error) {
	type file struct {
		ID   int64
		Name string
	}
	rows, err := tx.Query(ctx, `SELECT id, name FROM files WHERE complete ORDER BY id`)
	if err != nil {
		return 0, err
	}
	files, err := pgx.CollectRows(rows, pgx.RowToStructByPos[file])
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		out, err := archive.CreateHeader(&zip.FileHeader{Name: "media/" + strconv.FormatInt(f.ID, 10) + "-" + path.Base("/"+f.Name), Method: zip.Store})
		if err != nil {
			return 0, err
		}
		for n := 0; ; n++ {
			var chunk []byte
			err := tx.QueryRow(ctx, `SELECT data FROM file_chunks WHERE file_id = $1 AND n = $2`, f.ID, n).Scan(&chunk)
			if err == pgx.ErrNoRows { //nolint:errorlint // returned as it is
				break
			}
			if err != nil {
				return 0, err
			}
			if _, err := out.Write(chunk); err != nil {
				return 0, err
			}
		}
	}
	return len(files), nil
}
