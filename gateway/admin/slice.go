package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/cluster"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

const (
	auditOnSlice    = 20
	defaultLogLines = 200
	maxLogLines     = 1000
	maxLogBytes     = 256 << 10 // from the end of a log
	recordTimeout   = 5 * time.Second
)

var errNoSlice = platform.Errorf(platform.ErrNotFound, "There is no such slice.")

type sliceDetail struct {
	sliceItem
	Events   []eventItem `json:"events"`    // of what runs, newest first
	NomadURL *string     `json:"nomad_url"` // of the job in the Nomad UI
	Audit    []auditItem `json:"audit"`     // newest entries about the slice
}

type eventItem struct {
	At      time.Time `json:"at"`
	Type    string    `json:"type"`
	Message string    `json:"message"`
}

// sliceNumber returns the number in the path; what no slice can have is not
// found.
func sliceNumber(c *gin.Context) (int, error) {
	n, err := strconv.ParseInt(c.Param("number"), 10, 32)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != c.Param("number") {
		return 0, errNoSlice
	}
	return int(n), nil
}

func (s *Service) slice(c *gin.Context) {
	number, err := sliceNumber(c)
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	s.answerSlice(c, number)
}

func (s *Service) answerSlice(c *gin.Context, number int) {
	ctx := c.Request.Context()
	sl, email, err := s.Store.Slice(ctx, number)
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	entries, err := s.Store.ListAudit(ctx, platform.AuditFilter{SubjectType: "slice", SubjectID: strconv.Itoa(number), Limit: auditOnSlice})
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	out := sliceDetail{sliceItem: newSliceItem(sl, email), Events: []eventItem{}, Audit: auditItems(entries)}
	if sl.UserID != "" {
		seen, err := s.Store.LastSeen(ctx, []string{sl.UserID})
		if err != nil {
			request.Fail(c.Writer, c.Request, err)
			return
		}
		out.LastActivityAt = seenAt(seen, sl.UserID)
	}
	looking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if s.Cluster != nil && sl.State != platform.SliceGone {
		i, err := s.Cluster.Instance(looking, number)
		switch {
		case err == nil:
			out.Instance = newInstanceItem(i)
			for _, e := range i.Events {
				out.Events = append(out.Events, eventItem(e))
			}
		case platform.CodeOf(err) != platform.ErrNotFound:
			s.Log.Warn("the slice's instance is not known", "slice", number, "error", err)
		}
	}
	if state, ok := s.whatsApps(looking, []platform.Slice{sl})[number]; ok {
		out.WhatsApp = &state
	}
	if s.NomadUI != nil && sl.State != platform.SliceGone {
		link := s.NomadUI.JoinPath("ui", "jobs", platform.SliceName(number)+"@"+platform.SliceNamespace).String()
		out.NomadURL = &link
	}
	problem.WriteJSON(c.Writer, http.StatusOK, out)
}

// running returns what runs of the slice in the path.
func (s *Service) running(c *gin.Context) (cluster.Instance, error) {
	number, err := sliceNumber(c)
	if err != nil {
		return cluster.Instance{}, err
	}
	ctx := c.Request.Context()
	if _, _, err := s.Store.Slice(ctx, number); err != nil {
		return cluster.Instance{}, err
	}
	if s.Cluster == nil {
		return cluster.Instance{}, errNoCluster
	}
	i, err := s.Cluster.Instance(ctx, number)
	if platform.CodeOf(err) == platform.ErrNotFound {
		err = platform.Errorf(platform.ErrConflict, "Nothing runs of this slice.")
	}
	return i, err
}

var errNoCluster = platform.Errorf(platform.ErrUnavailable, "This gateway has no access to Nomad.")

func (s *Service) logTail(c *gin.Context) {
	q := parseQuery(c.Request)
	stream, most := q.oneOf("stream", "stdout", "stderr"), q.number("lines", defaultLogLines, 1, maxLogLines)
	if stream == "" {
		stream = "stdout"
	}
	err := q.err()
	var i cluster.Instance
	if err == nil {
		i, err = s.running(c)
	}
	var text []byte
	if err == nil {
		text, err = s.Cluster.Log(c.Request.Context(), i.ID, stream, maxLogBytes)
	}
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	problem.WriteJSON(c.Writer, http.StatusOK, struct {
		Stream string   `json:"stream"`
		Lines  []string `json:"lines"`
	}{stream, lastLines(string(text), most, len(text) == maxLogBytes)})
}

// lastLines returns at most so many lines. The first of a text that was cut off
// is not a whole one.
func lastLines(text string, most int, cut bool) []string {
	text = strings.TrimSuffix(strings.ToValidUTF8(text, "\uFFFD"), "\n")
	if text == "" {
		return []string{}
	}
	lines := strings.Split(text, "\n")
	if cut && len(lines) > 1 {
		lines = lines[1:]
	}
	return lines[max(0, len(lines)-most):]
}

// instanceState is what a restart is going to change, for the audit log.
type instanceState struct {
	Instance string `json:"instance"`
	Restarts int    `json:"restarts"`
}

func (s *Service) restart(c *gin.Context) {
	i, err := s.running(c)
	if err == nil && i.Status != cluster.Running { // its log can be read all the same
		err = platform.Errorf(platform.ErrConflict, "Nothing runs of this slice: its last instance is %s.", i.Status)
	}
	by := request.Audit(c.Request.Context(), "slice.restart", "slice", strconv.Itoa(i.Slice))
	if err == nil {
		// First, so that nothing is done that is not on record.
		if by.Before, err = json.Marshal(instanceState{i.ID, i.Restarts}); err == nil {
			err = s.Store.RecordAudit(c.Request.Context(), by)
		}
	}
	if err == nil {
		if err = s.Cluster.Restart(c.Request.Context(), i.ID); err != nil {
			by.Action = "slice.restart_failed"
			ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request.Context()), recordTimeout)
			defer cancel()
			err = errors.Join(err, s.Store.RecordAudit(ctx, by))
		}
	}
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	problem.WriteJSON(c.Writer, http.StatusAccepted, struct {
		Instance string `json:"instance"`
	}{i.ID})
}

func (s *Service) retire(c *gin.Context) {
	var in struct {
		Confirm string `json:"confirm"`
	}
	number, err := sliceNumber(c)
	if err == nil {
		err = problem.DecodeJSON(c.Writer, c.Request, maxBody, &in)
	}
	if name := platform.SliceName(number); err == nil && in.Confirm != name {
		err = platform.Invalid(platform.FieldError{Field: "confirm", Detail: "must be " + name + ": its data will be gone"})
	}
	if err == nil {
		err = s.Store.RetireSlice(c.Request.Context(), number, request.Audit(c.Request.Context(), "slice.retire", "slice", strconv.Itoa(number)))
	}
	if err != nil {
		request.Fail(c.Writer, c.Request, err)
		return
	}
	s.answerSlice(c, number)
}

// ParseNomadUI returns the address below which the Nomad UI is, nil for "".
func ParseNomadUI(address string) (*url.URL, error) {
	if address == "" {
		return nil, nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" {
		return nil, platform.Errorf(platform.ErrInvalid, "not the URL of a Nomad UI")
	}
	return u, nil
}
