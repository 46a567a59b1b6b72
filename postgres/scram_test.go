package postgres

import (
	"encoding/base64"
	"strings"
	"testing"
)

// SaltedVerifier lets tests compare with what a server stores.
var SaltedVerifier = saltedVerifier

// Made by PostgreSQL 15 for the password "secret".
const serverVerifier = "SCRAM-SHA-256$4096:o3yI6NkgLlpOi2Xeav07GA==$s8rWCsmxFY0z3DQkDdpexUQbErLEI+XP61LGILOsKuI=:AKCd3uPawAAPTJX9MKr3VajpXczQWs+uAcf40tl6iMc="

func TestVerifierIsWhatTheServerMakes(t *testing.T) {
	salt, err := base64.StdEncoding.DecodeString(strings.Split(strings.Split(serverVerifier, ":")[1], "$")[0])
	if err != nil {
		t.Fatal(err)
	}
	if got, err := saltedVerifier("secret", salt); err != nil || got != serverVerifier {
		t.Errorf("got %s (%v), want %s", got, err, serverVerifier)
	}
}
