//go:build integration

package main_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/consul"
	"ipnoelp.io/platform/nomad"
	"ipnoelp.io/platform/postgres"
	"ipnoelp.io/platform/postgres/postgrestest"
)

// patience bounds what takes a few seconds on a quiet machine.
const patience = 60 * time.Second

// bench is the program's surroundings, all real, with the token and role that
// a provisioner has and no more.
type bench struct {
	env   []string
	first int // no slice of this test has a smaller number

	db      *pgxpool.Pool // as a superuser
	gateway *postgres.GatewayStore
	slices  *postgres.ProvisionerStore
	made    *postgres.SliceDatabases
	nomad   *nomadapi.Client // as management
	jobs    *nomad.Jobs
	vars    *nomad.Variables
}

func setup(t *testing.T) *bench {
	t.Helper()
	database := postgrestest.New(t)
	b := &bench{first: postgrestest.SliceNumber(t)}
	b.db = pool(t, postgrestest.URL(t, database, ""))
	if _, err := b.db.Exec(t.Context(), fmt.Sprintf(`ALTER TABLE gateway.slices ALTER number RESTART WITH %d`, b.first)); err != nil {
		t.Fatal(err)
	}
	b.gateway = postgres.NewGatewayStore(b.db)
	b.slices = postgres.NewProvisionerStore(b.db)
	b.made = postgres.NewSliceDatabases(b.db, postgrestest.Host(t), "disable")

	var key [32]byte
	rand.Read(key[:])
	nomadAddr, nomadToken := b.nomadToken(t)
	consulAddr, consulToken := consulToken(t)
	b.jobs, b.vars = nomad.NewJobs(b.nomad, nomad.SliceJob{}), nomad.NewVariables(b.nomad)
	b.env = []string{
		"PATH=" + os.Getenv("PATH"),
		"LISTEN_ADDR=127.0.0.1:0",
		"DATABASE_URL=" + postgrestest.ProvisionerURL(t, database),
		"NOMAD_ADDR=" + nomadAddr, "NOMAD_TOKEN=" + nomadToken,
		"CONSUL_HTTP_ADDR=" + consulAddr, "CONSUL_HTTP_TOKEN=" + consulToken,
		"PLATFORM_KEY=" + base64.StdEncoding.EncodeToString(key[:]),
		"LEADER_KEY=" + consul.LeaderKey + "/test-" + database,
		"SLICE_IMAGE=" + images(t).healthy,
		"SLICE_DATABASE_HOST=" + postgrestest.Host(t), "SLICE_DATABASE_SSLMODE=disable",
		"SLICE_MEMORY=32", "SLICE_MEMORY_MAX=64",
		"SECCOMP_PROFILE=unconfined", // what is tested here is no browser
		"WHATSAPP_URL=http://127.0.0.1/", "INSTANCE_ID=one",
	}
	t.Cleanup(func() { b.removeAll(t) })
	return b
}

func pool(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	db, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

func (b *bench) nomadToken(t *testing.T) (address, token string) {
	t.Helper()
	address, token = os.Getenv("NOMAD_ADDR"), os.Getenv("NOMAD_TOKEN")
	if address == "" || token == "" {
		t.Fatal("NOMAD_ADDR and NOMAD_TOKEN (a management token) name the Nomad that this test needs; `make test` sets them")
	}
	var err error
	if b.nomad, err = nomad.NewClient(address, token); err != nil {
		t.Fatal(err)
	}
	if _, err := b.nomad.Namespaces().Register(&nomadapi.Namespace{Name: platform.SliceNamespace}, nil); err != nil {
		t.Fatalf("nomad namespace: %v", err)
	}
	rules, err := nomad.Policy("provisioner")
	if err != nil {
		t.Fatal(err)
	}
	policy := "test-" + rand.Text()
	if _, err := b.nomad.ACLPolicies().Upsert(&nomadapi.ACLPolicy{Name: policy, Rules: rules}, nil); err != nil {
		t.Fatalf("nomad policy: %v", err)
	}
	made, _, err := b.nomad.ACLTokens().Create(&nomadapi.ACLToken{Name: policy, Type: "client", Policies: []string{policy}}, nil)
	if err != nil {
		t.Fatalf("nomad token: %v", err)
	}
	t.Cleanup(func() {
		if _, err := b.nomad.ACLTokens().Delete(made.AccessorID, nil); err != nil {
			t.Error(err)
		}
		if _, err := b.nomad.ACLPolicies().Delete(policy, nil); err != nil {
			t.Error(err)
		}
	})
	return address, made.SecretID
}

func consulToken(t *testing.T) (address, token string) {
	t.Helper()
	address, token = os.Getenv("CONSUL_HTTP_ADDR"), os.Getenv("CONSUL_HTTP_TOKEN")
	if address == "" || token == "" {
		t.Fatal("CONSUL_HTTP_ADDR and CONSUL_HTTP_TOKEN (a management token) name the Consul agent that this test needs; `make test` sets them")
	}
	admin, err := consul.NewClient(address, token)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := consul.Policy("provisioner")
	if err != nil {
		t.Fatal(err)
	}
	policy, _, err := admin.ACL().PolicyCreate(&consulapi.ACLPolicy{Name: "test-" + rand.Text(), Rules: rules}, nil)
	if err != nil {
		t.Fatalf("consul policy: %v", err)
	}
	made, _, err := admin.ACL().TokenCreate(&consulapi.ACLToken{Policies: []*consulapi.ACLLink{{ID: policy.ID}}}, nil)
	if err != nil {
		t.Fatalf("consul token: %v", err)
	}
	t.Cleanup(func() {
		if _, err := admin.ACL().TokenDelete(made.AccessorID, nil); err != nil {
			t.Error(err)
		}
		if _, err := admin.ACL().PolicyDelete(policy.ID, nil); err != nil {
			t.Error(err)
		}
	})
	return address, made.SecretID
}

// eventually polls until done, which explains itself if it never is.
func eventually(t *testing.T, within time.Duration, done func() (bool, string)) {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(within)
	for {
		ok, why := done()
		if ok {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", within, why)
		}
	}
}

// in returns the numbers in each state but gone.
func (b *bench) in(t *testing.T) map[platform.SliceState][]int {
	t.Helper()
	pool, err := b.slices.Pool(t.Context(), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	states := make(map[platform.SliceState][]int)
	for _, s := range pool.Slices {
		states[s.State] = append(states[s.State], s.Number)
	}
	return states
}

// await waits until the states are these and no others, with the job,
// variable, database and role of these slices and of no others of this test.
func (b *bench) await(t *testing.T, within time.Duration, want map[platform.SliceState][]int) {
	t.Helper()
	eventually(t, within, func() (bool, string) {
		got := b.in(t)
		if len(got) != len(want) {
			return false, fmt.Sprintf("states %v, want %v", got, want)
		}
		var all []int
		for state, numbers := range want {
			if !slices.Equal(got[state], numbers) {
				return false, fmt.Sprintf("states %v, want %v", got, want)
			}
			all = append(all, numbers...)
		}
		slices.Sort(all)
		for part, numbers := range b.parts(t.Context(), t) {
			if !slices.Equal(numbers, all) {
				return false, fmt.Sprintf("%s of %v, want of %v", part, numbers, all)
			}
		}
		return true, ""
	})
}

// parts returns the numbers of this test that have each part.
func (b *bench) parts(ctx context.Context, t *testing.T) map[string][]int {
	t.Helper()
	jobs, err := b.jobs.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var registered []int
	for _, j := range jobs {
		registered = append(registered, j.Number)
	}
	variables, err := b.vars.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	databases, roles, err := b.made.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string][]int{"jobs": registered, "variables": variables, "databases": databases, "roles": roles}
	for part, numbers := range parts {
		numbers = slices.DeleteFunc(numbers, func(n int) bool { return n < b.first || n > b.first+1000 })
		slices.Sort(numbers)
		parts[part] = numbers
	}
	return parts
}

func (b *bench) removeAll(t *testing.T) {
	ctx := context.Background() // the test's own is over
	all := make(map[int]bool)
	for _, numbers := range b.parts(ctx, t) {
		for _, n := range numbers {
			all[n] = true
		}
	}
	for n := range all {
		for _, remove := range []func(context.Context, int) error{b.jobs.Purge, b.vars.Delete, b.made.DropDatabase, b.made.DropRole} {
			if err := remove(ctx, n); err != nil {
				t.Error(err)
			}
		}
	}
}

// claim signs a user up, who gets a warm slice.
func (b *bench) claim(t *testing.T) int {
	t.Helper()
	var hash [32]byte
	rand.Read(hash[:])
	_, s, err := b.gateway.SignUp(t.Context(), strings.ToLower(rand.Text())+"@example.com", "x", platform.SessionStart{TokenHash: hash, ExpiresAt: time.Now().Add(time.Hour)}, platform.AuditEntry{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Number == 0 {
		t.Fatal("no warm slice to claim")
	}
	return s.Number
}

// login connects as the slice does.
func (b *bench) login(t *testing.T, number int) *pgx.Conn {
	t.Helper()
	v, _, err := b.nomad.Variables().Read("nomad/jobs/"+platform.SliceName(number), nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), v.Items["database_url"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}
