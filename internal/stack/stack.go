// Package stack runs the whole platform on one machine: the Docker engine, the
// Consul and Nomad agents with their ACLs, the images, and the jobs, which are
// the same files that a cluster runs. `make up` and the tests use it alike.
package stack

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
	"github.com/jackc/pgx/v5"

	"ipnoelp.io/platform/postgres"
	"ipnoelp.io/platform/slice/seccomp"
)

// Stack is a running platform.
type Stack struct {
	cfg     Config
	secrets *secrets
	consul  *consul.Client
	nomad   *nomad.Client
	bridge  string // the host's address on the Docker bridge
	images  imageRefs
}

// Up brings the platform into its running state, whatever state the machine is
// in, and prints a line per step. Running it again changes nothing. The error
// is a *StepError.
func Up(ctx context.Context, cfg Config, out io.Writer) (*Stack, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Stack{cfg: cfg}
	p := newProgress(out)
	var unlock func()
	var nomadProgram, consulProgram string
	steps := []struct {
		name string
		run  func(context.Context) (string, error)
	}{
		{"toolchain", s.cfg.checkToolchain},
		{"one start at a time", func(context.Context) (note string, err error) {
			unlock, err = s.cfg.lock()
			return "", err
		}},
		{"Debian packages", func(ctx context.Context) (string, error) { return s.cfg.installPackages(ctx, runNeeds) }},
		{"Docker engine", s.cfg.startEngine},
		{"Nomad program", func(ctx context.Context) (note string, err error) {
			nomadProgram, note, err = s.cfg.ensureTool(ctx, nomadTool)
			return note, err
		}},
		{"Consul program", func(ctx context.Context) (note string, err error) {
			consulProgram, note, err = s.cfg.ensureTool(ctx, consulTool)
			return note, err
		}},
		{"base image", s.cfg.ensureBaseImage},
		{"programs, web app and images", func(ctx context.Context) (note string, err error) {
			s.images, note, err = s.cfg.buildImages(ctx)
			return note, err
		}},
		{"secrets", func(context.Context) (note string, err error) {
			s.secrets, err = s.cfg.loadSecrets()
			return "in " + s.cfg.secretsFile(), err
		}},
		{"Consul agent", func(ctx context.Context) (note string, err error) {
			s.consul, note, err = s.cfg.startConsul(ctx, consulProgram, s.secrets)
			return note, err
		}},
		{"Consul policies and tokens", func(context.Context) (string, error) { return s.cfg.consulACL(s.consul, s.secrets) }},
		{"Nomad agent", func(ctx context.Context) (note string, err error) {
			if s.bridge, err = bridgeIP(); err != nil {
				return "", err
			}
			if err := s.writeSeccompProfile(); err != nil {
				return "", err
			}
			s.nomad, note, err = s.cfg.startNomad(ctx, nomadProgram, s.secrets)
			return note, err
		}},
		{"Nomad policies and tokens", func(context.Context) (string, error) {
			if err := s.cfg.nomadACL(s.nomad, s.secrets); err != nil {
				return "", err
			}
			return "", s.cfg.consulWorkloadIdentities(s.consul)
		}},
		{"job postgres", s.runPostgres},
		{"database roles and migrations", s.prepareDatabase},
		{"job whatsappsim", s.runSim},
		{"job provisioner", s.runProvisioner},
		{"job gateway", s.runGateway},
		{"job edge", s.runEdge},
		{"warm slices", s.waitWarm},
		{"app answers", s.waitApp},
	}
	defer func() {
		if unlock != nil {
			unlock()
		}
	}()
	for _, step := range steps {
		if step.name == "job whatsappsim" && !cfg.Demo() {
			continue
		}
		if err := p.step(ctx, step.name, step.run); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// lock keeps two runs on the same state apart.
func (c *Config) lock() (unlock func(), err error) {
	f, err := os.OpenFile(c.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, advise(errors.New("another run works on this stack"), "", "wait until it ends, and run the command again")
	}
	return func() { f.Close() }, nil
}

func (s *Stack) seccompFile() string { return s.cfg.path("seccomp.json") }

func (s *Stack) writeSeccompProfile() error {
	profile, err := seccomp.Profile()
	if err != nil {
		return err
	}
	return os.WriteFile(s.seccompFile(), profile, 0o644)
}

func (s *Stack) runPostgres(ctx context.Context) (string, error) {
	if err := putVariable(s.nomad, "postgres", map[string]string{"superuser_password": s.secrets.PostgresPassword}); err != nil {
		return "", err
	}
	return s.runJob(ctx, "postgres", map[string]any{
		"image": s.images.postgres, "port": s.cfg.port(postgresPort), "listen_addresses": "127.0.0.1," + s.bridge,
	})
}

// DatabaseURL is the superuser's URL of a database on the stack's server.
func (s *Stack) DatabaseURL(database string) string {
	return s.databaseURL("postgres", s.secrets.PostgresPassword, database)
}

func (s *Stack) databaseURL(user, password, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.cfg.port(postgresPort))), Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

func (s *Stack) prepareDatabase(ctx context.Context) (string, error) {
	// The check only shows that the port is open; a server that recovers says no for a while.
	waiting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := poll(waiting, 100*time.Millisecond, func() error {
		conn, err := pgx.Connect(waiting, s.DatabaseURL("postgres"))
		if err != nil {
			return err
		}
		return conn.Close(waiting)
	})
	if err != nil {
		return "", err
	}
	return "", postgres.Prepare(ctx, s.DatabaseURL("postgres"), postgres.PrepareOptions{
		GatewayPassword: s.secrets.GatewayPassword, ProvisionerPassword: s.secrets.ProvisionerPassword,
	})
}

// SimURL is the base URL of the WhatsApp stand-in.
func (s *Stack) SimURL() string {
	return "http://" + net.JoinHostPort(s.bridge, strconv.Itoa(s.cfg.port(whatsappSimPort)))
}

func (s *Stack) runSim(ctx context.Context) (string, error) {
	return s.runJob(ctx, "whatsappsim", map[string]any{"image": s.images.whatsappsim, "port": s.cfg.port(whatsappSimPort)})
}

func (s *Stack) whatsappURL() string {
	if s.cfg.Demo() {
		return s.SimURL() + "/"
	}
	return s.cfg.WhatsAppURL
}

// provisionerSecrets are named as the program's variables, in lower case.
func (s *Stack) provisionerSecrets() map[string]string {
	return map[string]string{
		"database_url":      s.databaseURL(postgres.RoleProvisioner, s.secrets.ProvisionerPassword, postgres.DefaultDatabase),
		"nomad_token":       s.secrets.NomadProvisionerToken,
		"consul_http_token": s.secrets.ConsulProvisionerToken,
		"platform_key":      s.secrets.PlatformKey,
	}
}

func (s *Stack) runProvisioner(ctx context.Context) (string, error) {
	if err := putVariable(s.nomad, "provisioner", s.provisionerSecrets()); err != nil {
		return "", err
	}
	return s.runJob(ctx, "provisioner", map[string]any{
		"image": s.images.provisioner, "host_network": "loopback",
		"consul_http_addr": s.cfg.consulAddr(), "nomad_addr": s.cfg.nomadAddr(),
		"warm_target": s.cfg.WarmTarget, "slice_image": s.images.slice, "app_url": s.cfg.AppURL(),
		// A start keeps a core busy: sign-ups shall not wait for the refill they caused.
		"max_starting":        max(1, runtime.NumCPU()/2),
		"slice_database_host": net.JoinHostPort(s.bridge, strconv.Itoa(s.cfg.port(postgresPort))),
		"whatsapp_url":        s.whatsappURL(), "seccomp_profile": s.seccompFile(),
	})
}

func (s *Stack) runGateway(ctx context.Context) (string, error) {
	err := putVariable(s.nomad, "gateway", map[string]string{
		"database_url":      s.databaseURL(postgres.RoleGateway, s.secrets.GatewayPassword, postgres.DefaultDatabase),
		"consul_http_token": s.secrets.ConsulGatewayToken,
		"nomad_token":       s.secrets.NomadGatewayToken,
		"platform_key":      s.secrets.PlatformKey,
		"admin_email":       s.cfg.AdminEmail,
		"admin_password":    s.secrets.AdminPassword,
	})
	if err != nil {
		return "", err
	}
	outbox := ""
	if s.cfg.Demo() {
		outbox = "log" // nobody gets mails from a demo
	}
	return s.runJob(ctx, "gateway", map[string]any{
		"image": s.images.gateway, "host_network": "loopback", "public_url": s.cfg.AppURL(),
		"consul_http_addr": s.cfg.consulAddr(), "nomad_addr": s.cfg.nomadAddr(), "nomad_ui_url": s.cfg.nomadAddr(),
		"warm_target": s.cfg.WarmTarget, "server_timing": s.cfg.ServerTiming,
		"mail_outbox": outbox,
	})
}

func (s *Stack) runEdge(ctx context.Context) (string, error) {
	err := putVariable(s.nomad, "edge", map[string]string{"tls_certificate": s.secrets.Certificate, "tls_key": s.secrets.CertificateKey})
	if err != nil {
		return "", err
	}
	phone := ""
	if s.cfg.Demo() {
		phone = s.SimURL() + "/phone"
	}
	return s.runJob(ctx, "edge", map[string]any{
		"image": s.images.edge, "host_network": "loopback", "https_port": s.cfg.port(s.cfg.HTTPSPort),
		"demo": s.cfg.Demo(), "phone_url": phone,
	})
}

// waitWarm waits until the next sign-up would be served at once.
func (s *Stack) waitWarm(ctx context.Context) (string, error) {
	const timeout = 3 * time.Minute
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DatabaseURL(postgres.DefaultDatabase))
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	warm := 0
	err = poll(waiting, 200*time.Millisecond, func() error {
		err := conn.QueryRow(waiting, `SELECT count(*) FROM gateway.slices
			WHERE state = 'warm' AND generation = (SELECT id FROM gateway.generations WHERE is_current)`).Scan(&warm)
		if err == nil && warm < s.cfg.WarmTarget {
			err = fmt.Errorf("%d of %d slices warm", warm, s.cfg.WarmTarget)
		}
		return err
	})
	if err != nil {
		logFile := s.cfg.path("log", "job-provisioner.log")
		s.saveJobLog("provisioner", logFile)
		return "", advise(err, logFile, fmt.Sprintf("look at the slices in the Nomad UI: %s/ui/jobs?namespace=slices", s.cfg.nomadAddr()))
	}
	return fmt.Sprintf("%d", warm), nil
}

// waitApp waits until the gateway answers through the edge.
func (s *Stack) waitApp(ctx context.Context) (string, error) {
	waiting, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.CertPool(), MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	err := poll(waiting, 100*time.Millisecond, func() error {
		req, err := http.NewRequestWithContext(waiting, http.MethodGet, s.AppURL()+"/auth/me", nil)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized { // nobody is logged in
			return fmt.Errorf("GET %s: status %d", req.URL, res.StatusCode)
		}
		return nil
	})
	if err != nil {
		logFile := s.cfg.path("log", "job-edge.log")
		s.saveJobLog("edge", logFile)
		return "", advise(err, logFile, "see which gateways Consul knows, and whether nginx was signalled")
	}
	return s.AppURL(), nil
}

// AppURL is where browsers reach the app.
func (s *Stack) AppURL() string { return s.cfg.AppURL() }

// Admin returns how the first admin logs in.
func (s *Stack) Admin() (email, password string) { return s.cfg.AdminEmail, s.secrets.AdminPassword }

// CertPool trusts the app's self-signed certificate.
func (s *Stack) CertPool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(s.Certificate()))
	return pool
}

// Certificate is the edge's, in PEM.
func (s *Stack) Certificate() string { return s.secrets.Certificate }

// SourceDir is the checkout that the stack was built from.
func (s *Stack) SourceDir() string { return s.cfg.SourceDir }

// Nomad is a client with the management token.
func (s *Stack) Nomad() *nomad.Client { return s.nomad }

// Consul is a client with the management token.
func (s *Stack) Consul() *consul.Client { return s.consul }

// StopConsul ends the Consul agent, for tests of what goes on without it.
func (s *Stack) StopConsul(ctx context.Context) error {
	return s.cfg.process("consul").stop(ctx, agentStopTimeout)
}

// StartConsul starts the Consul agent again.
func (s *Stack) StartConsul(ctx context.Context) error {
	program, _, err := s.cfg.ensureTool(ctx, consulTool)
	if err != nil {
		return err
	}
	_, _, err = s.cfg.startConsul(ctx, program, s.secrets)
	return err
}

// Provisioner is the provisioner's program and environment, to run one beside
// the job.
func (s *Stack) Provisioner() (program string, environ []string, err error) {
	job, _, err := s.nomad.Jobs().Info("provisioner", nil)
	if err != nil {
		return "", nil, err
	}
	task := job.TaskGroups[0].Tasks[0]
	environ = s.cfg.cleanEnviron()
	for k, v := range task.Env {
		if k != "LISTEN_ADDR" {
			environ = append(environ, k+"="+v)
		}
	}
	for k, v := range s.provisionerSecrets() {
		environ = append(environ, strings.ToUpper(k)+"="+v)
	}
	return s.cfg.path("bin", "provisioner"), append(environ, "LISTEN_ADDR=127.0.0.1:0"), nil
}
