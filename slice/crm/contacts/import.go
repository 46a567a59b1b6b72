package contacts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/crm/event"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
)

// report is what an import did, or would do.
type report struct {
	DryRun        bool       `json:"dry_run"`
	Rows          int        `json:"rows"`
	Created       int        `json:"created"`
	Updated       int        `json:"updated"`
	Skipped       int        `json:"skipped"` // were there already
	Invalid       int        `json:"invalid"`
	LabelsCreated int        `json:"labels_created"`
	Ignored       []string   `json:"ignored_columns"`
	Errors        []rowError `json:"errors"`
}

// errDryRun rolls back.
var errDryRun = errors.New("dry run")

func (s *Service) importCSV(w http.ResponseWriter, r *http.Request) error {
	if ct, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || ct != "text/csv" {
		return platform.Errorf(platform.ErrUnsupported, "Send the file as Content-Type: text/csv.")
	}
	var faults request.Faults
	dryRun, _ := boolean(r, &faults, "dry_run")
	skipInvalid, _ := boolean(r, &faults, "skip_invalid")
	onDuplicate := faults.Query(r, "on_duplicate", maxQueryChars)
	if onDuplicate != "update" && onDuplicate != "skip" && r.URL.Query().Has("on_duplicate") {
		faults.Add("on_duplicate", "must be skip or update")
	}
	if err := faults.Err(); err != nil {
		return err
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxImportBytes))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return platform.Errorf(platform.ErrTooLarge, "The file is larger than %d MiB. Split it.", maxImportBytes>>20)
	} else if err != nil {
		return platform.Errorf(platform.ErrInvalid, "The body could not be read.").WithCause(err)
	}
	ctx := r.Context()
	var rep report
	err = s.bus.Transact(ctx, func(tx *event.Tx) error {
		fields, err := fieldsByKey(ctx, tx)
		if err != nil {
			return err
		}
		p := parseCSV(data, fields)
		rep = report{DryRun: dryRun, Rows: p.count, Invalid: p.invalid, Ignored: p.ignored, Errors: p.errors}
		if rep.Errors == nil {
			rep.Errors = []rowError{}
		}
		whole := len(p.errors) > 0 && p.errors[0].Field == "file" || len(p.rows) == 0 && p.invalid > 0 && p.count == 0
		if p.invalid > 0 && !dryRun && (!skipInvalid || whole) {
			return rep.refusal()
		}
		if err := store(ctx, tx, p.rows, onDuplicate == "update", &rep); err != nil {
			return err
		}
		if dryRun {
			return errDryRun
		}
		if rep.Created+rep.Updated > 0 {
			tx.Emit("contact:imported", map[string]int{"created": rep.Created, "updated": rep.Updated})
		}
		return nil
	})
	if err != nil && !errors.Is(err, errDryRun) {
		return taken(err)
	}
	problem.WriteJSON(w, http.StatusOK, rep)
	return nil
}

// refusal is the error of a file with rows that are wrong.
func (rep report) refusal() error {
	e := platform.Errorf(platform.ErrInvalid, "Nothing was imported: %d of %d rows are wrong.", rep.Invalid, rep.Rows)
	for _, f := range rep.Errors {
		e.Fields = append(e.Fields, platform.FieldError{Field: fmt.Sprintf("line %d: %s", f.Line, f.Field), Detail: f.Detail})
	}
	return e
}

// store writes rows in a few statements, however many they are.
func store(ctx context.Context, tx pgx.Tx, rows []row, update bool, rep *report) error {
	there, err := existing(ctx, tx, rows)
	if err != nil {
		return err
	}
	ids := make([]int64, len(rows)) // 0 for those that are skipped
	var fresh, old []int
	for i, v := range rows {
		id := there[key(v.phone, v.name, v.waName, v.email)]
		switch {
		case id == 0:
			fresh = append(fresh, i)
		case update:
			ids[i] = id
			old = append(old, i)
		default:
			rep.Skipped++
		}
	}
	rep.Created, rep.Updated = len(fresh), len(old)
	newIDs, err := database.Collect(ctx, tx, pgx.RowTo[int64], `SELECT nextval(pg_get_serial_sequence('contacts', 'id')) FROM generate_series(1, $1)`, len(fresh))
	if err != nil {
		return fmt.Errorf("import contacts: %w", err)
	}
	for n, i := range fresh {
		ids[i] = newIDs[n]
	}
	// COPY writes an identity as it is given.
	_, err = tx.CopyFrom(ctx, pgx.Identifier{"contacts"}, []string{"id", "phone", "wa_name", "name", "company", "email", "custom", "opted_out_at"},
		pgx.CopyFromSlice(len(fresh), func(n int) ([]any, error) {
			v := rows[fresh[n]]
			var phone *string
			if v.phone != "" {
				phone = &v.phone
			}
			return []any{ids[fresh[n]], phone, v.waName, v.name, v.company, v.email, v.custom, v.optedOutAt}, nil
		}))
	if err != nil {
		return fmt.Errorf("import contacts: %w", err)
	}
	if err := updateRows(ctx, tx, rows, old, ids); err != nil {
		return err
	}
	return labelRows(ctx, tx, rows, ids, rep)
}

// key is what a row and a contact are the same by: the phone; without one, names
// and e-mail address.
func key(phone, name, waName, email string) string {
	if phone != "" {
		return phone
	}
	return strings.ToLower(name + "\n" + waName + "\n" + email)
}

// existing returns the contacts that rows are about, by their key.
func existing(ctx context.Context, tx pgx.Tx, rows []row) (map[string]int64, error) {
	phones, emails, names := make([]string, 0), make([]string, 0), make([]string, 0)
	for _, v := range rows {
		if v.phone != "" {
			phones = append(phones, v.phone)
			continue
		}
		names = append(names, v.name)
		emails = append(emails, strings.ToLower(v.email))
	}
	there := make(map[string]int64)
	type known struct {
		id                         int64
		phone, name, waName, email string
	}
	all, err := database.Collect(ctx, tx, func(r pgx.CollectableRow) (k known, err error) {
		err = r.Scan(&k.id, &k.phone, &k.name, &k.waName, &k.email)
		return k, err
	}, `
		SELECT contact_id, '+' || split_part(wa_id, '@', 1), '', '', '' FROM contact_ids
			WHERE wa_id IN (SELECT substr(unnest($1::text[]), 2) || '@c.us')
		UNION ALL SELECT id, phone, '', '', '' FROM contacts WHERE phone = ANY($1)
		UNION ALL SELECT id, '', name, wa_name, email FROM contacts WHERE phone IS NULL AND (lower(email) = ANY($2) OR name = ANY($3))`,
		phones, emails, names)
	if err != nil {
		return nil, fmt.Errorf("import contacts: %w", err)
	}
	for _, k := range all {
		there[key(k.phone, k.name, k.waName, k.email)] = k.id
	}
	return there, nil
}

// updateRows brings what the rows say to contacts that are there.
func updateRows(ctx context.Context, tx pgx.Tx, rows []row, which []int, ids []int64) error {
	var id []int64
	var name, company, email, custom []string
	var optedOut []*time.Time
	for _, i := range which {
		text, err := json.Marshal(rows[i].custom)
		if err != nil {
			return fmt.Errorf("import contacts: %w", err)
		}
		v := rows[i]
		id, name, company, email = append(id, ids[i]), append(name, v.name), append(company, v.company), append(email, v.email)
		custom, optedOut = append(custom, string(text)), append(optedOut, v.optedOutAt)
	}
	_, err := tx.Exec(ctx, `
		UPDATE contacts c SET name = coalesce(nullif(v.name, ''), c.name), company = coalesce(nullif(v.company, ''), c.company),
			email = coalesce(nullif(v.email, ''), c.email), custom = c.custom || v.custom::jsonb,
			opted_out_at = coalesce(c.opted_out_at, v.opted_out_at), updated_at = now()
		FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[]) v (id, name, company, email, custom, opted_out_at)
		WHERE c.id = v.id`, id, name, company, email, custom, optedOut)
	if err != nil {
		return fmt.Errorf("import contacts: %w", err)
	}
	return nil
}

// labelRows puts the rows' labels on their contacts, and makes labels that are
// not there.
func labelRows(ctx context.Context, tx pgx.Tx, rows []row, ids []int64, rep *report) error {
	var contacts []int64
	var names []string
	for i, v := range rows {
		if ids[i] != 0 {
			for _, l := range v.labels {
				contacts, names = append(contacts, ids[i]), append(names, l)
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO labels (name) SELECT DISTINCT ON (lower(n)) n FROM unnest($1::text[]) n ON CONFLICT (lower(name)) DO NOTHING`, names)
	if err != nil {
		return fmt.Errorf("import labels: %w", err)
	}
	rep.LabelsCreated = int(tag.RowsAffected())
	var count int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM labels`).Scan(&count); err != nil {
		return fmt.Errorf("import labels: %w", err)
	}
	if count > maxLabels {
		return platform.Errorf(platform.ErrConflict, errTooManyLabels, maxLabels)
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO contact_labels (contact_id, label_id)
		SELECT v.contact_id, l.id FROM unnest($1::bigint[], $2::text[]) v (contact_id, name) JOIN labels l ON lower(l.name) = lower(v.name)
		ON CONFLICT DO NOTHING`, contacts, names)
	if err != nil {
		return fmt.Errorf("import labels: %w", err)
	}
	return nil
}
