package admin

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

const maxAuditText = 100 // characters of an action or a subject in a filter

type auditPage struct {
	Entries    []auditItem `json:"entries"`
	NextCursor *string     `json:"next_cursor"`
}

type auditItem struct {
	ID          string          `json:"id"`
	At          time.Time       `json:"at"`
	ActorID     *string         `json:"actor_id"` // null: the platform itself
	Action      string          `json:"action"`
	SubjectType string          `json:"subject_type"`
	SubjectID   string          `json:"subject_id"`
	Before      json.RawMessage `json:"before"` // null for nothing
	After       json.RawMessage `json:"after"`
	RequestID   string          `json:"request_id"`
	ClientAddr  string          `json:"client_addr"`
}

func (s *Service) audit(c *gin.Context) {
	q := parseQuery(c.Request)
	limit := q.limit()
	f := platform.AuditFilter{
		ActorID: q.uuid("actor"), Action: q.text("action", maxAuditText),
		SubjectType: q.text("subject_type", maxAuditText), SubjectID: q.text("subject_id", maxAuditText),
		Since: q.time("since"), Until: q.time("until"), Below: q.cursor(64), Limit: limit + 1,
	}
	if err := q.err(); err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	found, err := s.Store.ListAudit(c.Request.Context(), f)
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	found, next := page(found, limit, func(e platform.AuditEntry) string { return strconv.FormatInt(e.ID, 10) })
	problem.WriteJSON(c.Writer, http.StatusOK, auditPage{Entries: auditItems(found), NextCursor: next})
}

func auditItems(entries []platform.AuditEntry) []auditItem {
	items := make([]auditItem, len(entries))
	for i, e := range entries {
		items[i] = auditItem{
			ID: strconv.FormatInt(e.ID, 10), At: e.At.UTC(), Action: e.Action, SubjectType: e.SubjectType, SubjectID: e.SubjectID,
			Before: e.Before, After: e.After, RequestID: e.RequestID, ClientAddr: e.ClientAddr,
		}
		if e.ActorID != "" {
			items[i].ActorID = &e.ActorID
		}
	}
	return items
}
