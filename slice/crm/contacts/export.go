package contacts

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
)

// exportPage is how many contacts are read at once; no connection is held while
// the client takes them.
const exportPage = 1000

func (s *Service) export(w http.ResponseWriter, r *http.Request) error {
	var faults request.Faults
	f := parseFilter(r, &faults)
	if err := faults.Err(); err != nil {
		return err
	}
	fields, err := customFields(r.Context(), s.pool, "")
	if err != nil {
		return err
	}
	header := []string{"name", "whatsapp_name", "phone", "email", "company", "labels", "opt_out"}
	for _, field := range fields {
		header = append(header, field.name())
	}
	n := len(f.args)
	query := fmt.Sprintf(`SELECT %s FROM contacts c WHERE %s AND c.id > $%d AND (c.name, c.wa_name, c.email, c.company, coalesce(c.phone, '')) <> ('', '', '', '', '')
		ORDER BY c.id LIMIT $%d`, columns, f.sql(), n+1, n+2)
	out := csv.NewWriter(w)
	var after int64
	for first := true; ; first = false {
		page, err := database.Collect(r.Context(), s.pool, scan, query, append(f.args[:n:n], after, exportPage)...)
		if err != nil {
			if first {
				return fmt.Errorf("export contacts: %w", err)
			}
			s.log.Error("export contacts", "error", err)
			panic(http.ErrAbortHandler) // the answer is cut off, and must look it
		}
		if first {
			h := w.Header()
			h.Set("Content-Type", "text/csv; charset=utf-8")
			h.Set("Content-Disposition", `attachment; filename="contacts.csv"`)
			h.Set("Cache-Control", "no-store")
			h.Set("X-Content-Type-Options", "nosniff")
			if err := out.Write(header); err != nil {
				return nil // the client is gone
			}
		}
		for _, c := range page {
			if err := out.Write(record(c, fields)); err != nil {
				return nil
			}
			if after, err = strconv.ParseInt(c.ID, 10, 64); err != nil {
				return fmt.Errorf("export contacts: %w", err)
			}
		}
		if out.Flush(); out.Error() != nil || len(page) < exportPage {
			return nil
		}
	}
}

// record is a contact as a line of the file.
func record(c Contact, fields []Field) []string {
	phone, optOut := "", ""
	if c.Phone != nil {
		phone = *c.Phone
	}
	if c.OptedOutAt != nil {
		optOut = c.OptedOutAt.Format(time.RFC3339Nano)
	}
	line := []string{escape(c.Name), escape(c.WhatsAppName), escape(phone), escape(c.Email), escape(c.Company), escape(joinLabels(c.Labels)), optOut}
	for _, f := range fields {
		raw := c.Custom[f.Key]
		var text string
		if json.Unmarshal(raw, &text) == nil {
			line = append(line, escape(text))
		} else {
			line = append(line, string(raw)) // a number, true or false
		}
	}
	return line
}
