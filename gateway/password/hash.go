package password

import "github.com/alexedwards/argon2id"

// params are one of OWASP's equivalent recommendations for argon2id, m=12 MiB,
// t=3, p=1: measured a fifth faster here than the one with 19 MiB. A hash says
// its own parameters, so that older ones stay valid.
var params = &argon2id.Params{
	Memory:      12 * 1024, // KiB
	Iterations:  3,
	Parallelism: 1,
	SaltLength:  16, // bytes
	KeyLength:   32, // bytes
}

// job asks for the hash of a password or, where Hash is set, whether that is
// the password's.
type job struct {
	Password string `json:"password"`
	Hash     string `json:"hash,omitempty"`
}

// outcome answers a job. Error never holds the password.
type outcome struct {
	Hash  string `json:"hash,omitempty"`
	Match bool   `json:"match,omitempty"`
	Error string `json:"error,omitempty"`
}

// local does jobs in this process.
type local struct{}

func (local) do(j job) (out outcome, err error) {
	if j.Hash == "" {
		out.Hash, err = argon2id.CreateHash(j.Password, params)
	} else {
		out.Match, err = argon2id.ComparePasswordAndHash(j.Password, j.Hash)
	}
	return out, err
}

func (local) close() {}
