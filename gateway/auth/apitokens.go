package auth

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

// TokenStore keeps API tokens.
type TokenStore interface {
	// CreateAPIToken returns the token with its id. Returns ErrConflict if the
	// user has too many, and ErrUnauthenticated if the session that asks ended.
	CreateAPIToken(ctx context.Context, userID string, session [32]byte, t platform.APIToken, by platform.AuditEntry) (platform.APIToken, error)

	// ListAPITokens returns a user's tokens that have not expired, newest first.
	ListAPITokens(ctx context.Context, userID string) ([]platform.APIToken, error)

	// DeleteAPIToken returns which token it was. Returns ErrNotFound if the user
	// has no such token.
	DeleteAPIToken(ctx context.Context, userID, id string, by platform.AuditEntry) ([32]byte, error)

	// APITokenSession returns a token in the shape of a session, and its user's
	// slice. Returns ErrNotFound if it does not exist or has expired.
	APITokenSession(ctx context.Context, tokenHash [32]byte) (platform.Session, platform.Slice, error)

	// APITokenSessions gives each those of the tokens that exist and have not
	// expired, likewise.
	APITokenSessions(ctx context.Context, tokenHashes [][32]byte, each func(platform.Session, platform.Slice)) error
}

// AsSessions lets Sessions look up and remember API tokens.
type AsSessions struct{ Store TokenStore }

// Session returns a token in the shape of a session.
func (t AsSessions) Session(ctx context.Context, hash [32]byte) (platform.Session, platform.Slice, error) {
	return t.Store.APITokenSession(ctx, hash)
}

// Sessions gives each the tokens in the shape of sessions.
func (t AsSessions) Sessions(ctx context.Context, hashes [][32]byte, each func(platform.Session, platform.Slice)) error {
	return t.Store.APITokenSessions(ctx, hashes, each)
}

// Tenant authenticates requests to slices: by a session, or by an API token.
// What the gateway itself answers takes no token.
type Tenant struct {
	Sessions *Sessions
	Tokens   *Sessions
}

var (
	errBadAPIToken = platform.Errorf(platform.ErrUnauthenticated, "The token is not valid, or not any more.")
	errReadOnly    = platform.Errorf(platform.ErrForbidden, "The token is for reading only.")
)

// Authenticate returns who sends the request. Returns ErrUnauthenticated without
// a valid session or token, and ErrForbidden if the token is not for this.
func (t Tenant) Authenticate(r *http.Request) (*Identity, error) {
	token, ok := apiToken(r)
	if !ok {
		return t.Sessions.Authenticate(r)
	}
	hash, ok := platform.HashAPIToken(token)
	if !ok {
		return nil, errBadAPIToken
	}
	id, err := t.Tokens.Lookup(r.Context(), hash)
	switch {
	case platform.CodeOf(err) == platform.ErrUnauthenticated:
		return nil, errBadAPIToken
	case err != nil:
		return nil, err
	case id.Scope != platform.ScopeFull && (r.Method != http.MethodGet && r.Method != http.MethodHead || r.Header.Get("Upgrade") != ""):
		return nil, errReadOnly
	}
	return id, nil
}

// InvalidateUser says that what is remembered of a user is out of date.
func (t Tenant) InvalidateUser(userID string) {
	t.Sessions.InvalidateUser(userID)
	t.Tokens.InvalidateUser(userID)
}

// apiToken returns the token of "Authorization: Bearer". A request that has one
// is no browser's: its cookies do not count.
func apiToken(r *http.Request) (string, bool) {
	values := r.Header["Authorization"]
	for _, v := range values {
		scheme, token := v, ""
		if i := strings.IndexAny(v, " \t"); i >= 0 {
			scheme, token = v[:i], strings.TrimSpace(v[i:])
		}
		if !strings.EqualFold(scheme, "Bearer") {
			continue
		}
		if len(values) > 1 {
			return "", true // which one?
		}
		return token, true
	}
	return "", false
}

func (s *Service) registerTokens(r gin.IRouter) {
	r.GET("/auth/tokens", s.listTokens)
	r.POST("/auth/tokens", RequireRecent(s.Sessions), s.createToken)
	r.DELETE("/auth/tokens/:id", s.deleteToken)
}

type tokenItem struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	Scope      platform.Scope `json:"scope"`
	CreatedAt  time.Time      `json:"created_at"`
	ExpiresAt  time.Time      `json:"expires_at"`
	LastUsedAt *time.Time     `json:"last_used_at"` // null: never
	Token      string         `json:"token,omitempty"`
}

func itemOf(t platform.APIToken) tokenItem {
	item := tokenItem{ID: t.ID, Name: t.Name, Scope: t.Scope, CreatedAt: t.CreatedAt.UTC(), ExpiresAt: t.ExpiresAt.UTC()}
	if !t.LastUsedAt.IsZero() {
		used := t.LastUsedAt.UTC()
		item.LastUsedAt = &used
	}
	return item
}

type tokenList struct {
	Tokens     []tokenItem `json:"tokens"`
	NextCursor *string     `json:"next_cursor"` // null: all are in one answer
}

func (s *Service) listTokens(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	all, err := s.Store.ListAPITokens(r.Context(), id.User.ID)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	out := tokenList{Tokens: make([]tokenItem, len(all))}
	for i, t := range all {
		out.Tokens[i] = itemOf(t)
	}
	problem.WriteJSON(w, http.StatusOK, out)
}

type newAPIToken struct {
	Name      string         `json:"name"`
	Scope     platform.Scope `json:"scope"`
	ExpiresAt time.Time      `json:"expires_at"`
}

func (in *newAPIToken) validate(now time.Time) error {
	var fields []platform.FieldError
	fault := func(field, detail string) { fields = append(fields, platform.FieldError{Field: field, Detail: detail}) }
	if d := nameFault(&in.Name, platform.MaxAPITokenName); d != "" {
		fault("name", d)
	}
	if in.Scope != platform.ScopeRead && in.Scope != platform.ScopeFull {
		fault("scope", "must be read or full")
	}
	switch {
	case in.ExpiresAt.IsZero():
		fault("expires_at", "is required")
	case !in.ExpiresAt.After(now):
		fault("expires_at", "must be in the future")
	case in.ExpiresAt.Sub(now) > platform.MaxAPITokenLifetime:
		fault("expires_at", "must be within a year")
	}
	if fields != nil {
		return platform.Invalid(fields...)
	}
	return nil
}

// nameFault trims a name that a user gives something, and says what is wrong
// with it; "" if nothing is.
func nameFault(name *string, limit int) string {
	*name = strings.TrimSpace(*name)
	switch {
	case *name == "":
		return "is required"
	case utf8.RuneCountInString(*name) > limit:
		return fmt.Sprintf("must have at most %d characters", limit)
	case strings.ContainsRune(*name, 0):
		return "must not have the character U+0000"
	}
	return ""
}

func (s *Service) createToken(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	var in newAPIToken
	if err = problem.DecodeJSON(w, r, maxBody, &in); err == nil {
		err = in.validate(time.Now())
	}
	if err == nil && id.User.Role == platform.RoleAdmin {
		err = platform.Errorf(platform.ErrForbidden, "Admins have no workspace of their own.")
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	token := platform.NewAPIToken()
	hash, _ := platform.HashAPIToken(token)
	made, err := s.Store.CreateAPIToken(r.Context(), id.User.ID, id.Session, platform.APIToken{
		TokenHash: hash, Name: in.Name, Scope: in.Scope, ExpiresAt: in.ExpiresAt,
	}, request.Audit(r.Context(), "", "", ""))
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	item := itemOf(made)
	item.Token = token // this once
	problem.WriteJSON(w, http.StatusCreated, item)
}

func (s *Service) deleteToken(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	which, err := pathID(c, "token")
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	hash, err := s.Store.DeleteAPIToken(r.Context(), id.User.ID, which, request.Audit(r.Context(), "", "", ""))
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	s.SessionEnded(hash)
	noContent(w)
}
