package auth

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
	"ipnoelp.io/platform/problem"
)

// passkeyLogInOptions says the same to everybody: the browser knows which
// passkeys there are.
func (s *Service) passkeyLogInOptions(c *gin.Context) {
	w, r := c.Writer, c.Request
	err := s.take(w, limit{"passkey options|" + network(request.From(r.Context()).ClientAddr), 120, time.Second})
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	assertion, session, err := s.passkeys.BeginDiscoverableLogin()
	if err == nil {
		err = s.beginCeremony(w, toLogIn, "", session.Challenge)
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	problem.WriteJSON(w, http.StatusOK, ceremonyOptions{assertion.Response})
}

// assertionFrom reads what a passkey signed.
func assertionFrom(w http.ResponseWriter, r *http.Request) (*protocol.ParsedCredentialAssertionData, error) {
	var in struct {
		Credential json.RawMessage `json:"credential"`
	}
	if err := problem.DecodeJSON(w, r, maxPasskeyBody, &in); err != nil {
		return nil, err
	}
	answer, err := protocol.ParseCredentialRequestResponseBytes(in.Credential)
	if err != nil {
		return nil, credentialFault(malformedCredential).WithCause(err)
	}
	return answer, nil
}

var (
	errWrongPasskey = platform.Errorf(platform.ErrUnauthenticated, "The passkey was not accepted. Try another one, or log in with your password.")

	// Only who can sign with the key learns of it.
	errCopiedPasskey = platform.Errorf(platform.ErrForbidden,
		"The passkey was refused: it seems that there is a copy of it. Log in with your password, and remove it.")
)

func (s *Service) logInPasskey(c *gin.Context) {
	w, r := c.Writer, c.Request
	answer, err := assertionFrom(w, r)
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	li := addressLimit(network(request.From(r.Context()).ClientAddr))
	if err := s.take(w, li); err != nil {
		s.Metrics.LogIns.WithLabelValues("throttled").Inc()
		request.Fail(w, r, err)
		return
	}
	user, passkey, err := s.whoseAnswer(w, r, answer)
	if err != nil {
		if platform.CodeOf(err) == platform.ErrUnauthenticated || errors.Is(err, errCopiedPasskey) {
			s.Metrics.LogIns.WithLabelValues("wrong").Inc()
		}
		request.Fail(w, r, err)
		return
	}
	s.limits.giveBack(li)
	s.beginSession(w, r, user, platform.SessionStart{Method: platform.LogInByPasskey, Passkey: passkey})
}

// whoseAnswer returns who logs in with a passkey, and its id.
func (s *Service) whoseAnswer(w http.ResponseWriter, r *http.Request, answer *protocol.ParsedCredentialAssertionData) (platform.User, string, error) {
	session, err := s.endCeremony(w, r, toLogIn, "")
	if err != nil {
		return platform.User{}, "", err
	}
	p, user, err := s.Store.PasskeyByCredential(r.Context(), answer.RawID)
	if platform.CodeOf(err) == platform.ErrNotFound {
		err = errWrongPasskey.WithCause(err)
	}
	if err != nil {
		return platform.User{}, "", err
	}
	// With the answer's user handle compared to the owner's.
	owner := passkeyUser{handle: p.UserHandle, email: user.Email, passkeys: []platform.Passkey{p}}
	_, err = s.passkeys.ValidateDiscoverableLogin(func(_, _ []byte) (webauthn.User, error) { return owner, nil }, session, answer)
	if err != nil {
		return platform.User{}, "", errWrongPasskey.WithCause(err)
	}
	if user.Blocked { // told to who has the passkey only
		return platform.User{}, "", ErrBlocked
	}
	return user, p.ID, s.usePasskey(r, user.ID, p, answer)
}

// usePasskey notes that a passkey was used. Of one that was copied, whichever
// was used less often is refused.
func (s *Service) usePasskey(r *http.Request, userID string, p platform.Passkey, answer *protocol.ParsedCredentialAssertionData) error {
	data := answer.Response.AuthenticatorData
	by := request.Audit(r.Context(), "", "", "")
	ok, err := s.Store.UsePasskey(r.Context(), userID, p.ID, data.Counter, data.Flags.HasBackupState(), by)
	switch {
	case platform.CodeOf(err) == platform.ErrNotFound: // removed meanwhile
		return errWrongPasskey.WithCause(err)
	case err == nil && !ok:
		return errCopiedPasskey
	}
	return err
}

func (s *Service) passkeyReauthenticateOptions(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	var user passkeyUser
	if err == nil {
		user, err = s.passkeysOf(r.Context(), id.User)
	}
	if err == nil && len(user.passkeys) == 0 {
		err = platform.Errorf(platform.ErrConflict, "You have no passkey. Confirm your password instead.")
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	assertion, session, err := s.passkeys.BeginLogin(user)
	if err == nil {
		err = s.beginCeremony(w, toReauthenticate, id.User.ID, session.Challenge)
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	problem.WriteJSON(w, http.StatusOK, ceremonyOptions{assertion.Response})
}

func (s *Service) reauthenticatePasskey(c *gin.Context) {
	w, r := c.Writer, c.Request
	id, err := s.authenticate(r)
	if err == nil {
		err = s.checkPasskey(w, r, id)
	}
	if err != nil {
		request.Fail(w, r, err)
		return
	}
	s.reauthenticated(w, r, id, platform.LogInByPasskey)
}

// checkPasskey asks for a passkey of somebody who is logged in.
func (s *Service) checkPasskey(w http.ResponseWriter, r *http.Request, id *Identity) error {
	answer, err := assertionFrom(w, r)
	if err != nil {
		return err
	}
	li := limit{"passkey|" + hex.EncodeToString(id.Session[:]), 10, 30 * time.Second}
	if err := s.take(w, li); err != nil {
		return err
	}
	session, err := s.endCeremony(w, r, toReauthenticate, id.User.ID)
	if err != nil {
		return err
	}
	user, err := s.passkeysOf(r.Context(), id.User)
	if err != nil {
		return err
	}
	session.UserID = user.handle
	if _, err := s.passkeys.ValidateLogin(user, session, answer); err != nil {
		return credentialFault("does not answer what was asked, or is not of one of your passkeys").WithCause(err)
	}
	for _, p := range user.passkeys {
		if string(p.CredentialID) == string(answer.RawID) {
			if err := s.usePasskey(r, id.User.ID, p, answer); err != nil {
				return err
			}
		}
	}
	s.limits.giveBack(li)
	return nil
}
