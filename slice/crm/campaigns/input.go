package campaigns

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform/problem"
	"ipnoelp.io/platform/slice/crm/campaigns/template"
	"ipnoelp.io/platform/slice/database"
	"ipnoelp.io/platform/slice/request"
)

const (
	maxTextChars     = 65536 // of what is sent; WhatsApp's own limit
	maxTemplateChars = 16384 // of a text with variables
	maxNameChars     = 200
	maxIDChars       = 20
	// maxBodyBytes holds the longest text in whatever way JSON escapes it.
	maxBodyBytes = 12*maxTextChars + 4096
)

// readJSON reads a body that may hold a long text.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	return problem.DecodeJSON(w, r, maxBodyBytes, v)
}

// content is the part of an input that says what is to be sent.
type content struct {
	Text   request.Optional[string] `json:"text"`
	FileID request.Optional[string] `json:"file_id"`
}

// check checks what is given. The id of the file is 0 for none.
func (c content) check(faults *request.Faults, maxChars int) (text string, fileID int64) {
	if c.Text.Given {
		if c.Text.Value == nil {
			faults.Add("text", "must not be null")
		} else {
			text = *c.Text.Value
			faults.Text("text", text, maxChars)
		}
	}
	if c.FileID.Value != nil {
		fileID = faults.ID("file_id", *c.FileID.Value)
	}
	return text, fileID
}

// checkContent checks a whole text and file against what is stored.
func checkContent(ctx context.Context, q database.Querier, faults *request.Faults, text string, fileID *int64, variables bool) error {
	if strings.TrimSpace(text) == "" && fileID == nil {
		faults.Add("text", "is required where there is no file")
	}
	if variables {
		if err := checkVariables(ctx, q, faults, text); err != nil {
			return err
		}
	}
	if fileID == nil {
		return nil
	}
	var there bool
	if err := q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM files WHERE id = $1 AND complete)`, *fileID).Scan(&there); err != nil {
		return fmt.Errorf("file %d: %w", *fileID, err)
	}
	if !there {
		faults.Add("file_id", "must be the id of a file")
	}
	return nil
}

// checkVariables adds what is wrong with the variables of a text.
func checkVariables(ctx context.Context, q database.Querier, faults *request.Faults, text string) error {
	t, err := template.Parse(text)
	if err != nil {
		faults.Add("text", "%s", err)
		return nil
	}
	used := t.Custom()
	if len(used) == 0 {
		return nil
	}
	keys := make([]string, 0, len(used))
	for key := range used {
		keys = append(keys, key)
	}
	// The first in the text is told.
	known, err := database.Collect(ctx, q, pgx.RowTo[string], `SELECT key FROM custom_fields WHERE key = ANY($1)`, keys)
	if err != nil {
		return fmt.Errorf("custom fields: %w", err)
	}
	for _, key := range known {
		delete(used, key)
	}
	var unknown string
	for key, position := range used {
		if unknown == "" || position < used[unknown] {
			unknown = key
		}
	}
	if unknown != "" {
		faults.Add("text", "%s", (&template.Error{Position: used[unknown], Detail: fmt.Sprintf("there is no custom field %q", unknown)}).Error())
	}
	return nil
}

// optionalID is nil for 0.
func optionalID(id int64) *int64 {
	if id == 0 {
		return nil
	}
	return &id
}

func isNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
