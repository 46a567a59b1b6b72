package auth

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

// maxPasskeyBody fits a key with an attestation, though none is asked for.
const maxPasskeyBody = 32 << 10

// PasskeyStore keeps passkeys.
type PasskeyStore interface {
	// PasskeyHandle returns what authenticators know a user by: 32 random
	// bytes, made at the first call.
	PasskeyHandle(ctx context.Context, userID string) ([]byte, error)

	// ListPasskeys returns a user's passkeys, newest first.
	ListPasskeys(ctx context.Context, userID string) ([]platform.Passkey, error)

	// PasskeyByCredential returns a passkey and its user. Returns ErrNotFound
	// if there is none with this credential id.
	PasskeyByCredential(ctx context.Context, credentialID []byte) (platform.Passkey, platform.User, error)

	// CreatePasskey adds a passkey to a user who has a handle, tells the user,
	// and returns it with its id. Returns ErrConflict if the user has too many,
	// or if the credential is somebody's already, and ErrUnauthenticated if the
	// session that asks ended.
	CreatePasskey(ctx context.Context, userID string, session [32]byte, p platform.Passkey, by platform.AuditEntry) (platform.Passkey, error)

	// RenamePasskey and DeletePasskey, which tells the user, return ErrNotFound
	// if the user has no such passkey; DeletePasskey returns ErrUnauthenticated if
	// the session that asks ended.
	RenamePasskey(ctx context.Context, userID, id, name string, by platform.AuditEntry) (platform.Passkey, error)
	DeletePasskey(ctx context.Context, userID string, session [32]byte, id string, by platform.AuditEntry) error

	// UseChallenge reports whether a challenge was not answered before; from
	// now on it was. It may be forgotten after until.
	UseChallenge(ctx context.Context, hash [32]byte, until time.Time) (bool, error)

	// UsePasskey notes a use, and reports whether its counter may be
	// (platform.Passkey.Counted). If not, nothing changes, and an entry in the
	// audit log says so. Returns ErrNotFound if the user has no such passkey.
	UsePasskey(ctx context.Context, userID, id string, signCount uint32, synced bool, by platform.AuditEntry) (bool, error)
}

func (s *Service) registerPasskeys(r gin.IRouter) {
	recent := RequireRecent(s.Sessions)
	r.GET("/auth/passkeys", s.listPasskeys)
	r.PATCH("/auth/passkeys/:id", s.renamePasskey)
	r.DELETE("/auth/passkeys/:id", recent, s.deletePasskey)
	r.POST("/auth/passkeys/options", s.requireDomain, recent, s.passkeyOptions)
	r.POST("/auth/passkeys", s.requireDomain, recent, s.createPasskey)
	r.POST("/auth/passkeys/login/options", s.requireDomain, s.passkeyLogInOptions)
	r.POST("/auth/passkeys/login", s.requireDomain, s.logInPasskey)
	r.POST("/auth/reauthenticate/passkey/options", s.requireDomain, s.passkeyReauthenticateOptions)
	r.POST("/auth/reauthenticate/passkey", s.requireDomain, s.reauthenticatePasskey)
}

type passkeyItem struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at"` // null: never
	Syncable   bool       `json:"syncable"`
	Synced     bool       `json:"synced"`
}

func passkeyItemOf(p platform.Passkey) passkeyItem {
	return passkeyItem{
		ID: p.ID, Name: p.Name, CreatedAt: p.CreatedAt.UTC(), LastUsedAt: orNull(p.LastUsedAt), Syncable: p.Syncable, Synced: p.Synced,
	}
}

type passkeyList struct {
	Passkeys   []passkeyItem `json:"passkeys"`
	NextCursor *string       `json:"next_cursor"` // null: all are in one answer
}

func (s *Service) listPasskeys(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	var all []platform.Passkey
	if err == nil {
		all, err = s.Store.ListPasskeys(r.Context(), id.User.ID)
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	problem.WriteJSON(w, http.StatusOK, passkeyList{Passkeys: passkeyItems(all)})
}

func passkeyItems(all []platform.Passkey) []passkeyItem {
	items := make([]passkeyItem, len(all))
	for i, p := range all {
		items[i] = passkeyItemOf(p)
	}
	return items
}

// ceremonyOptions are for the browser, in WebAuthn's own JSON.
type ceremonyOptions struct {
	PublicKey any `json:"public_key"`
}

// passkeysOf returns a user with all their passkeys.
func (s *Service) passkeysOf(ctx context.Context, user platform.User) (passkeyUser, error) {
	u := passkeyUser{email: user.Email}
	var err error
	if u.handle, err = s.Store.PasskeyHandle(ctx, user.ID); err == nil {
		u.passkeys, err = s.Store.ListPasskeys(ctx, user.ID)
	}
	return u, err
}

func (s *Service) passkeyOptions(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	var user passkeyUser
	if err == nil {
		user, err = s.passkeysOf(r.Context(), id.User)
	}
	if err == nil && len(user.passkeys) >= platform.MaxPasskeys {
		err = platform.Errorf(platform.ErrConflict, "You have %d passkeys. Remove one first.", len(user.passkeys))
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	creation, session, err := s.passkeys.BeginRegistration(user,
		webauthn.WithCredentialParameters(webauthn.CredentialParametersRecommendedL3()),
		webauthn.WithExclusions(webauthn.Credentials(user.WebAuthnCredentials()).CredentialDescriptors()))
	if err == nil {
		err = s.beginCeremony(w, toRegister, id.User.ID, session.Challenge)
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	problem.WriteJSON(w, http.StatusOK, ceremonyOptions{creation.Response})
}

// credentialFault is for what the browser answered.
func credentialFault(detail string) *platform.Error {
	return platform.Invalid(platform.FieldError{Field: "credential", Detail: detail})
}

const (
	malformedCredential = "must be what the browser answered, as JSON"
	wrongCredential     = "does not answer what was asked, or not for this app"
)

func (s *Service) createPasskey(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	if err == nil {
		err = s.register(w, r, id)
	}
	if err != nil {
		request.Fail(w, r, err)
	}
}

// register answers, unless it returns an error.
func (s *Service) register(w http.ResponseWriter, r *http.Request, id *Identity) error {
	var in struct {
		Name       string          `json:"name"`
		Credential json.RawMessage `json:"credential"`
	}
	if err := problem.DecodeJSON(w, r, maxPasskeyBody, &in); err != nil {
		return err
	}
	var fields []platform.FieldError
	if d := nameFault(&in.Name, platform.MaxPasskeyName); d != "" {
		fields = append(fields, platform.FieldError{Field: "name", Detail: d})
	}
	answer, malformed := protocol.ParseCredentialCreationResponseBytes(in.Credential)
	if malformed != nil {
		fields = append(fields, platform.FieldError{Field: "credential", Detail: malformedCredential})
	}
	if fields != nil {
		return platform.Invalid(fields...).WithCause(malformed)
	}
	if err := s.take(w, limit{"passkey|" + id.User.ID, 20, 30 * time.Second}); err != nil {
		return err
	}
	session, err := s.endCeremony(w, r, toRegister, id.User.ID)
	if err != nil {
		return err
	}
	user := passkeyUser{email: id.User.Email}
	if user.handle, err = s.Store.PasskeyHandle(r.Context(), id.User.ID); err != nil {
		return err
	}
	session.UserID = user.handle
	key, err := s.passkeys.CreateCredential(user, session, answer)
	if err != nil {
		return credentialFault(wrongCredential).WithCause(err)
	}
	made, err := s.Store.CreatePasskey(r.Context(), id.User.ID, id.Session, platform.Passkey{
		CredentialID: key.ID, PublicKey: key.PublicKey, SignCount: key.Authenticator.SignCount, Transports: transports(key.Transport),
		Syncable: key.Flags.BackupEligible, Synced: key.Flags.BackupState, Name: in.Name,
	}, request.Audit(r.Context(), "", "", ""))
	if err != nil {
		return err
	}
	s.MailQueued()
	problem.WriteJSON(w, http.StatusCreated, passkeyItemOf(made))
	return nil
}

func (s *Service) renamePasskey(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	var which string
	if err == nil {
		which, err = pathID(c, "passkey")
	}
	var in struct {
		Name string `json:"name"`
	}
	if err == nil {
		err = problem.DecodeJSON(w, r, maxBody, &in)
	}
	if err == nil {
		if d := nameFault(&in.Name, platform.MaxPasskeyName); d != "" {
			err = platform.Invalid(platform.FieldError{Field: "name", Detail: d})
		}
	}
	var p platform.Passkey
	if err == nil {
		p, err = s.Store.RenamePasskey(r.Context(), id.User.ID, which, in.Name, request.Audit(r.Context(), "", "", ""))
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	problem.WriteJSON(w, http.StatusOK, passkeyItemOf(p))
}

func (s *Service) deletePasskey(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	var which string
	if err == nil {
		which, err = pathID(c, "passkey")
	}
	if err == nil {
		err = s.Store.DeletePasskey(r.Context(), id.User.ID, id.Session, which, request.Audit(r.Context(), "", "", ""))
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	s.MailQueued()
	noContent(w)
}
