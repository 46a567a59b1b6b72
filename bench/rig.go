package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/internal/stack"
	"ipnoelp.io/platform/postgres"
)

// rig is what the gateway needs around it, each a real program on the loopback:
// PostgreSQL, Consul, and an upstream that answers as every slice does.
type rig struct {
	*stack.Programs
	self     string // this program
	password string // of all database roles
	key      []byte // slice tokens are derived from it
	database string // address of PostgreSQL
	consul   *consul.Client
	consulAt string     // address
	upstream string     // address
	programs []*program // in the order that they were started
	others   []*rig     // made by beside
	built    map[bool]string

	ownAddresses bool // each slice is at an address of its own, as slices are
	durable      bool // PostgreSQL waits for the disk, as it does in service
}

// sliceGeneration is the one that all slices of the rig are of.
const sliceGeneration = 1

const publicHost = "app.example.com"

func newRig(ctx context.Context, name string, out io.Writer) (*rig, error) {
	r, err := openRig(ctx, name, out)
	if err != nil {
		return nil, err
	}
	if err := r.startAll(ctx); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// openRig finds the programs and starts none yet.
func openRig(ctx context.Context, name string, out io.Writer) (*rig, error) {
	programs, err := stack.OpenPrograms(ctx, name, out)
	if err != nil {
		return nil, err
	}
	r := &rig{Programs: programs, password: rand.Text(), key: make([]byte, platform.MinPlatformKeyBytes), built: make(map[bool]string)}
	rand.Read(r.key)
	if r.self, err = os.Executable(); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// beside returns a rig of its own that shares nothing with r but the programs'
// files. It is closed with r.
func (r *rig) beside(name string) (*rig, error) {
	programs := *r.Programs
	programs.Dir = filepath.Join(r.Dir, name)
	if err := errors.Join(os.Mkdir(programs.Dir, 0o711), os.Chmod(programs.Dir, 0o711)); err != nil {
		return nil, err
	}
	other := &rig{Programs: &programs, self: r.self, password: r.password, key: r.key, built: r.built, ownAddresses: r.ownAddresses, durable: r.durable}
	r.others = append(r.others, other)
	return other, nil
}

func (r *rig) startAll(ctx context.Context) error {
	for _, start := range []func(context.Context) error{r.startPostgres, r.startConsul, r.startUpstream} {
		if err := start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *rig) close() {
	for _, other := range r.others {
		other.stop()
	}
	r.stop()
	r.Close()
}

func (r *rig) stop() {
	for i := len(r.programs) - 1; i >= 0; i-- {
		r.programs[i].stop()
	}
}

// startPostgres makes a cluster and the gateway's schema in it.
func (r *rig) startPostgres(ctx context.Context) error {
	owner, err := user.Lookup("postgres")
	if err != nil {
		return fmt.Errorf("postgresql: %w", err)
	}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	credential := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	dir := filepath.Join(r.Dir, "postgres")
	passwordFile := filepath.Join(dir, "password")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(passwordFile, []byte(r.password), 0o600),
		os.Chown(passwordFile, uid, gid), os.Chown(dir, uid, gid)); err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(r.PostgresDir, "initdb"), "-D", data, "-U", "postgres",
		"-A", "scram-sha-256", "--pwfile", passwordFile, "-E", "UTF8", "--no-locale", "--no-sync")
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	initdb.Dir, initdb.Env = dir, r.Environ()
	if said, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, said)
	}
	if r.database, err = freeAddr(); err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(r.database)
	fsync := "fsync=off"
	if r.durable {
		fsync = "fsync=on"
	}
	p, err := r.start("postgres", launch{
		args: []string{filepath.Join(r.PostgresDir, "postgres"), "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1",
			"-c", "unix_socket_directories=", "-c", fsync},
		user: credential, dir: dir, stops: syscall.SIGINT,
	})
	if err != nil {
		return err
	}
	err = p.until(ctx, func() error {
		conn, err := pgx.Connect(ctx, r.databaseURL("postgres", "postgres"))
		if err == nil {
			conn.Close(ctx)
		}
		return err
	})
	if err != nil {
		return err
	}
	return postgres.Prepare(ctx, r.databaseURL("postgres", "postgres"), postgres.PrepareOptions{GatewayPassword: r.password})
}

func (r *rig) databaseURL(role, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(role, r.password), Host: r.database, Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

func (r *rig) startConsul(ctx context.Context) error {
	ports := make([]string, 3)
	for i := range ports {
		addr, err := freeAddr()
		if err != nil {
			return err
		}
		_, ports[i], _ = net.SplitHostPort(addr)
	}
	p, err := r.start("consul", launch{args: []string{r.Consul, "agent", "-dev", "-node", "bench", "-bind", "127.0.0.1", "-client", "127.0.0.1",
		"-http-port", ports[0], "-server-port", ports[1], "-serf-lan-port", ports[2], "-serf-wan-port", "-1",
		"-dns-port", "-1", "-grpc-port", "-1", "-grpc-tls-port", "-1", "-log-level", "warn"}})
	if err != nil {
		return err
	}
	r.consulAt = "127.0.0.1:" + ports[0]
	if r.consul, err = consul.NewClient(&consul.Config{Address: r.consulAt}); err != nil {
		return err
	}
	return p.until(ctx, func() error {
		_, err := r.consul.KV().Put(&consul.KVPair{Key: "bench"}, nil)
		return err
	})
}

func (r *rig) startUpstream(ctx context.Context) (err error) {
	if r.upstream, err = freeAddr(); err != nil {
		return err
	}
	listen := r.upstream
	if r.ownAddresses {
		_, port, _ := net.SplitHostPort(r.upstream)
		listen = net.JoinHostPort("0.0.0.0", port)
	}
	p, err := r.start("upstream", launch{args: []string{r.self, "upstream", listen}, environ: []string{"PLATFORM_KEY=" + r.platformKey()}})
	if err != nil {
		return err
	}
	return p.listens(ctx, r.upstream)
}

// named returns a program that was started, nil if there is none.
func (r *rig) named(name string) *program {
	for _, p := range r.programs {
		if p.name == name {
			return p
		}
	}
	return nil
}

func (r *rig) platformKey() string { return base64.StdEncoding.EncodeToString(r.key) }

// addUsers makes n users, each with an assigned slice that Consul knows and a
// session, and returns the sessions' tokens.
func (r *rig) addUsers(ctx context.Context, n int) ([]string, error) {
	conn, err := pgx.Connect(ctx, r.databaseURL("postgres", postgres.DefaultDatabase))
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback(ctx)
	if err := addGeneration(ctx, tx); err != nil {
		return nil, err
	}
	tokens, numbers := make([]string, n), make([]int, n)
	for i := range tokens {
		tokens[i] = platform.NewSessionToken()
		hash, _ := platform.HashSessionToken(tokens[i])
		err := tx.QueryRow(ctx, `
			WITH u AS (INSERT INTO gateway.users (email, password_hash) VALUES ($1, '') RETURNING id),
			     s AS (INSERT INTO gateway.sessions (token_hash, user_id, expires_at) SELECT $2, id, now() + interval '1 day' FROM u)
			INSERT INTO gateway.slices (state, generation, user_id, warm_at, assigned_at) SELECT 'assigned', $3, id, now(), now() FROM u
			RETURNING number`, fmt.Sprintf("user-%d@example.com", i), hash[:], sliceGeneration).Scan(&numbers[i])
		if err != nil {
			return nil, err
		}
	}
	if err := r.register(ctx, numbers); err != nil {
		return nil, err
	}
	if err := tx.Commit(ctx); err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, `ANALYZE`)
	return tokens, err
}

func addGeneration(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `INSERT INTO gateway.generations (id, fingerprint, is_current) OVERRIDING SYSTEM VALUE
		VALUES ($1, 'bench', true) ON CONFLICT DO NOTHING`, sliceGeneration)
	return err
}

// slicesPerNode are registered with one node of the catalog.
const slicesPerNode = 100

// register makes slices known to Consul as the agents of Nomad's machines do,
// each with a check of its own that passes. It writes to the catalog what those
// agents would: one agent alone with thousands of services takes minutes.
func (r *rig) register(ctx context.Context, numbers []int) error {
	_, port, _ := net.SplitHostPort(r.upstream)
	upstreamPort, _ := strconv.Atoi(port)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, number := range numbers {
		g.Go(func() error {
			name := platform.SliceName(number)
			node := number / slicesPerNode
			_, err := r.consul.Catalog().Register(&consul.CatalogRegistration{
				Node: fmt.Sprintf("client-%d", node), Address: fmt.Sprintf("127.0.%d.1", 1+node),
				Service: &consul.AgentService{ID: name, Service: name, Address: r.sliceHost(number), Port: upstreamPort},
				Check: &consul.AgentCheck{
					Node: fmt.Sprintf("client-%d", node), CheckID: "health-" + name, Name: "health", Status: consul.HealthPassing, ServiceID: name, ServiceName: name,
				},
			}, (&consul.WriteOptions{}).WithContext(ctx))
			if err != nil {
				return fmt.Errorf("register %s: %w", name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

func (r *rig) sliceHost(number int) string {
	if !r.ownAddresses {
		return "127.0.0.1"
	}
	return fmt.Sprintf("127.%d.%d.%d", 1+number>>16, number>>8&0xff, number&0xff)
}

// startGateway runs the gateway. Its log goes to a file.
func (r *rig) startGateway(ctx context.Context) (*program, string, error) {
	return r.startGatewayAs(ctx, "gateway", false)
}

// startGatewayAs runs a gateway under a name, with more in its environment.
func (r *rig) startGatewayAs(ctx context.Context, name string, cheapHash bool, environ ...string) (*program, string, error) {
	binary, err := r.buildGateway(ctx, cheapHash)
	if err != nil {
		return nil, "", err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, "", err
	}
	p, err := r.start(name, launch{args: []string{binary}, environ: append([]string{
		"LISTEN_ADDR=" + addr, "PUBLIC_URL=https://" + publicHost, "PLATFORM_KEY=" + r.platformKey(), "DRAIN_DELAY=0s",
		"DATABASE_URL=" + r.databaseURL(postgres.RoleGateway, postgres.DefaultDatabase), "CONSUL_HTTP_ADDR=" + r.consulAt,
		"SLICE_RATE=1000000", "SLICE_BURST=1000000", // counted as ever, not reached
		"GOMAXPROCS=1", "GOMEMLIMIT=128MiB", // as jobs/gateway.nomad.hcl has them
		profileVariable + "=" + filepath.Join(r.Dir, "gateway.pprof"),
	}, environ...)})
	if err != nil {
		return nil, "", err
	}
	// It remembers sessions only once the database tells it of changes.
	return p, addr, p.until(ctx, func() error {
		metrics, err := get(ctx, "http://"+addr+"/metrics", nil)
		if err == nil && !strings.Contains(metrics, "gateway_notifications_up 1") {
			err = errors.New("it does not hear the database")
		}
		return err
	})
}

// buildGateway builds the gateway as the image does, once for all rigs, and
// returns its file.
func (r *rig) buildGateway(ctx context.Context, cheapHash bool) (string, error) {
	if binary := r.built[cheapHash]; binary != "" {
		return binary, nil
	}
	overlay, err := overlaid(r.SourceDir, r.Dir, cheapHash)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(r.Dir, fmt.Sprintf("gateway-cheap-%t", cheapHash))
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-overlay", overlay, "-o", binary, "./cmd/gateway")
	build.Dir, build.Env = r.SourceDir, append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the gateway: %w: %s", err, said)
	}
	r.built[cheapHash] = binary
	return binary, nil
}

// get returns the body of an answer with status 200.
func get(ctx context.Context, url string, header http.Header) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: status %d: %s", url, res.StatusCode, body)
	}
	return string(body), err
}
