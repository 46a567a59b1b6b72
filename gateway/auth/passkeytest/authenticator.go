// Package passkeytest has what tests of passkeys need: an authenticator made of
// software, and what every store of passkeys must do.
package passkeytest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"slices"
	"testing"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
)

// Authenticator is a browser and its authenticator in one. A test lets it lie
// by changing its fields.
type Authenticator struct {
	Origin      string // that the browser says it is at
	RPID        string // that it signs for; "" for the one that is asked for
	CrossOrigin bool   // in a frame of another site
	Unverified  bool   // nobody's finger or PIN was checked
	Synced      bool   // keys are in the cloud; fixed when a key is made
	Counts      bool   // counts uses
	Keys        []*Key // that it holds, the newest first
}

// Key is what a passkey is on the user's side.
type Key struct {
	ID         []byte
	UserHandle []byte
	Private    *ecdsa.PrivateKey
	Uses       uint32
	Synced     bool
}

// Clone returns a copy of the key, as a thief may have one.
func (k *Key) Clone() *Key {
	c := *k
	return &c
}

const (
	flagPresent  = 1 << 0
	flagVerified = 1 << 2
	flagSyncable = 1 << 3
	flagSynced   = 1 << 4
	flagKey      = 1 << 6
)

// base64url is bytes in WebAuthn's JSON.
type base64url []byte

func (b base64url) MarshalText() ([]byte, error) {
	return []byte(base64.RawURLEncoding.EncodeToString(b)), nil
}

func (b *base64url) UnmarshalText(text []byte) (err error) {
	*b, err = base64.RawURLEncoding.DecodeString(string(text))
	return err
}

type descriptor struct {
	ID base64url `json:"id"`
}

func has(all []descriptor, id []byte) bool {
	return slices.ContainsFunc(all, func(d descriptor) bool { return bytes.Equal(d.ID, id) })
}

type answer struct {
	ID         base64url      `json:"id"`
	RawID      base64url      `json:"rawId"`
	Type       string         `json:"type"`
	Response   any            `json:"response"`
	Extensions map[string]any `json:"clientExtensionResults"`
}

// Create makes a key as the answer to POST /auth/passkeys/options says, and
// returns what is to be sent as "credential".
func (a *Authenticator) Create(t testing.TB, options string) json.RawMessage {
	t.Helper()
	var in struct {
		PublicKey struct {
			RP struct {
				ID string `json:"id"`
			} `json:"rp"`
			User struct {
				ID base64url `json:"id"`
			} `json:"user"`
			Challenge base64url `json:"challenge"`
			Params    []struct {
				Alg int `json:"alg"`
			} `json:"pubKeyCredParams"`
			Exclude   []descriptor `json:"excludeCredentials"`
			Selection struct {
				ResidentKey      string `json:"residentKey"`
				UserVerification string `json:"userVerification"`
			} `json:"authenticatorSelection"`
			Attestation string `json:"attestation"`
		} `json:"public_key"`
	}
	decode(t, options, &in)
	o := in.PublicKey
	if o.Selection.ResidentKey != "required" || o.Selection.UserVerification != "required" || o.Attestation != "none" || len(o.Params) == 0 {
		t.Fatalf("options %s", options)
	}
	for _, k := range a.Keys {
		if has(o.Exclude, k.ID) {
			t.Fatalf("InvalidStateError: the authenticator has %x already", k.ID)
		}
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k := &Key{ID: random(32), UserHandle: o.User.ID, Private: private, Synced: a.Synced}
	a.Keys = append([]*Key{k}, a.Keys...)

	point, err := private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	public := encode(t, map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	data := a.data(k, o.RP.ID, flagKey)
	data = append(data, make([]byte, 16)...) // of no make
	data = binary.BigEndian.AppendUint16(data, uint16(len(k.ID)))
	data = slices.Concat(data, k.ID, public)
	return a.answer(t, k, map[string]any{
		"clientDataJSON":    base64url(a.clientData(t, "webauthn.create", o.Challenge)),
		"attestationObject": base64url(encode(t, map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})),
		"transports":        []string{"internal", "hybrid", "telepathy"},
	})
}

// Sign uses the newest key that the options of a log-in or a reauthentication
// allow, and returns what is to be sent as "credential".
func (a *Authenticator) Sign(t testing.TB, options string) json.RawMessage {
	t.Helper()
	var in struct {
		PublicKey struct {
			RPID             string       `json:"rpId"`
			Challenge        base64url    `json:"challenge"`
			Allow            []descriptor `json:"allowCredentials"`
			UserVerification string       `json:"userVerification"`
		} `json:"public_key"`
	}
	decode(t, options, &in)
	o := in.PublicKey
	if o.UserVerification != "required" {
		t.Fatalf("options %s", options)
	}
	for _, k := range a.Keys {
		if len(o.Allow) > 0 && !has(o.Allow, k.ID) {
			continue
		}
		if a.Counts {
			k.Uses++
		}
		data, client := a.data(k, o.RPID, 0), a.clientData(t, "webauthn.get", o.Challenge)
		hash := sha256.Sum256(client)
		digest := sha256.Sum256(slices.Concat(data, hash[:]))
		signature, err := ecdsa.SignASN1(rand.Reader, k.Private, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return a.answer(t, k, map[string]any{
			"clientDataJSON": base64url(client), "authenticatorData": base64url(data),
			"signature": base64url(signature), "userHandle": base64url(k.UserHandle),
		})
	}
	t.Fatal("NotAllowedError: no key for this")
	return nil
}

func (a *Authenticator) answer(t testing.TB, k *Key, response any) json.RawMessage {
	t.Helper()
	// Browsers tell more than they are asked.
	b, err := json.Marshal(answer{ID: k.ID, RawID: k.ID, Type: "public-key", Response: response, Extensions: map[string]any{"credProps": map[string]bool{"rk": true}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// data is what authenticators sign, without the key.
func (a *Authenticator) data(k *Key, rpID string, flags byte) []byte {
	if a.RPID != "" {
		rpID = a.RPID
	}
	hash := sha256.Sum256([]byte(rpID))
	flags |= flagPresent
	if !a.Unverified {
		flags |= flagVerified
	}
	if k.Synced {
		flags |= flagSyncable | flagSynced
	}
	return binary.BigEndian.AppendUint32(append(hash[:], flags), k.Uses)
}

func (a *Authenticator) clientData(t testing.TB, kind string, challenge []byte) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{
		"type": kind, "challenge": base64url(challenge), "origin": a.Origin, "crossOrigin": a.CrossOrigin,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decode(t testing.TB, options string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(options), v); err != nil {
		t.Fatalf("%s: %v", options, err)
	}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := webauthncbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
