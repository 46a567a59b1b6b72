package auth

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/request"
)

const (
	// ceremonyCookie holds the challenge that a passkey is to sign. It is sent
	// to /auth/ only.
	ceremonyCookie   = "__Secure-passkey"
	ceremonyLifetime = 5 * time.Minute

	// usedChallengeMargin is how much longer it is known which challenges were
	// used: the database's clock and the gateways' differ.
	usedChallengeMargin = time.Hour
)

// purpose is what a passkey is asked for. What it answers is good for nothing
// else.
type purpose string

const (
	toRegister       purpose = "register"
	toLogIn          purpose = "log-in"
	toReauthenticate purpose = "reauthenticate"
)

// relyingParty returns what we are to authenticators; nil where the app is at
// an address without a domain name, which passkeys are bound to.
func relyingParty(domain, origin string) *webauthn.WebAuthn {
	domain = strings.ToLower(domain) // as browsers write it
	timeout := webauthn.TimeoutConfig{Timeout: ceremonyLifetime, TimeoutUVD: ceremonyLifetime}
	party, err := webauthn.New(&webauthn.Config{
		RPID: domain, RPDisplayName: domain, RPOrigins: []string{origin},
		AttestationPreference: protocol.PreferNoAttestation, // whose make an authenticator is of makes no difference
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(), // no e-mail address is asked for
			UserVerification: protocol.VerificationRequired, // alone it is two factors
		},
		Timeouts: webauthn.TimeoutsConfig{Login: timeout, Registration: timeout},
		// Some browsers and authenticators tell more than they are asked.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil
	}
	if u, err := url.Parse(origin); err != nil || u.Host == "" {
		return nil
	}
	return party
}

var errNoDomain = platform.Errorf(platform.ErrConflict, "Passkeys need a domain name, and this app has only an address.")

func (s *Service) requireDomain(c *gin.Context) {
	if s.passkeys == nil {
		request.Fail(c.Writer, c.Request, errNoDomain)
		c.Abort()
	}
}

// ceremony is what is in the cookie, sealed: gateways share it without a row.
type ceremony struct {
	Challenge string    `json:"challenge"`
	Until     time.Time `json:"until"`
}

// beginCeremony remembers a challenge in the browser, for one purpose and for
// one user; "" where it is not known yet who it is.
func (s *Service) beginCeremony(w http.ResponseWriter, p purpose, userID, challenge string) error {
	b, err := json.Marshal(ceremony{Challenge: challenge, Until: s.limits.now().Add(ceremonyLifetime)})
	if err != nil {
		return err
	}
	http.SetCookie(w, ceremonyCookieOf(base64.RawURLEncoding.EncodeToString(s.ceremonies.seal(b, string(p)+"|"+userID)), int(ceremonyLifetime.Seconds())))
	return nil
}

func ceremonyCookieOf(value string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: ceremonyCookie, Value: value, Path: "/auth/", MaxAge: maxAge, HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode}
}

var errCeremonyOver = platform.Errorf(platform.ErrConflict, "This took too long, or was answered already. Begin again.")

// endCeremony returns what the passkey was to answer, and uses it up, whatever
// the answer is worth: no challenge is ever checked twice, on any gateway.
func (s *Service) endCeremony(w http.ResponseWriter, r *http.Request, p purpose, userID string) (webauthn.SessionData, error) {
	var none webauthn.SessionData
	sealed, err := base64.RawURLEncoding.DecodeString(cookieValue(r, ceremonyCookie))
	if err != nil {
		return none, errCeremonyOver
	}
	b, err := s.ceremonies.open(sealed, string(p)+"|"+userID)
	var c ceremony
	if err != nil || json.Unmarshal(b, &c) != nil || !s.limits.now().Before(c.Until) {
		return none, errCeremonyOver
	}
	fresh, err := s.Store.UseChallenge(r.Context(), sha256.Sum256([]byte(c.Challenge)), c.Until.Add(usedChallengeMargin))
	if err == nil && !fresh {
		err = errCeremonyOver
	}
	if err != nil {
		return none, err
	}
	http.SetCookie(w, ceremonyCookieOf("", -1))
	return webauthn.SessionData{
		Challenge: c.Challenge, RelyingPartyID: s.passkeys.Config.RPID,
		UserVerification: protocol.VerificationRequired, CredParams: webauthn.CredentialParametersRecommendedL3(),
	}, nil
}

// passkeyUser is a user as the library wants to see one.
type passkeyUser struct {
	handle   []byte
	email    string
	passkeys []platform.Passkey
}

func (u passkeyUser) WebAuthnID() []byte          { return u.handle }
func (u passkeyUser) WebAuthnName() string        { return u.email }
func (u passkeyUser) WebAuthnDisplayName() string { return u.email }

func (u passkeyUser) WebAuthnCredentials() []webauthn.Credential {
	all := make([]webauthn.Credential, len(u.passkeys))
	for i, p := range u.passkeys {
		all[i] = webauthn.Credential{
			ID: p.CredentialID, PublicKey: p.PublicKey,
			Flags:         webauthn.CredentialFlags{UserPresent: true, UserVerified: true, BackupEligible: p.Syncable, BackupState: p.Synced},
			Authenticator: webauthn.Authenticator{SignCount: p.SignCount},
		}
		for _, t := range p.Transports {
			all[i].Transport = append(all[i].Transport, protocol.AuthenticatorTransport(t))
		}
	}
	return all
}

// transports are those that browsers know; whatever else an answer names is
// dropped.
func transports(named []protocol.AuthenticatorTransport) []string {
	known := []string{}
	for _, t := range []protocol.AuthenticatorTransport{protocol.USB, protocol.NFC, protocol.BLE, protocol.SmartCard, protocol.Hybrid, protocol.Internal} {
		for _, n := range named {
			if n == t {
				known = append(known, string(t))
				break
			}
		}
	}
	return known
}
