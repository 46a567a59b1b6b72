package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/tabwriter"

	"github.com/jackc/pgx/v5"
)

// Part is one part of the platform as Status sees it.
type Part struct {
	Name    string
	Healthy bool
	Detail  string
}

// Status looks at each part. It changes nothing.
func Status(ctx context.Context, cfg Config) ([]Part, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s, err := open(cfg)
	if err != nil {
		return nil, err
	}
	part := func(name, detail string, err error) Part {
		if err != nil {
			detail = err.Error()
		}
		return Part{Name: name, Healthy: err == nil, Detail: detail}
	}
	parts := []Part{
		part("Docker engine", "answers", engineAnswers(ctx)),
		part("Consul agent", cfg.consulAddr(), s.consulHealthy()),
		part("Nomad agent", cfg.nomadAddr(), nomadReady(s.nomad, s.secrets.NomadManagementToken)),
	}
	if !parts[2].Healthy {
		return parts, nil
	}
	jobs := []string{"postgres", "provisioner", "gateway", "edge"}
	if cfg.Demo() {
		jobs = append(jobs, "whatsappsim")
	}
	for _, job := range jobs {
		parts = append(parts, part("job "+job, "healthy", s.jobHealthy(job)))
	}
	counts, err := s.sliceCounts(ctx)
	return append(parts, part("slices", counts, err)), nil
}

// open attaches to a stack that runs, without starting or changing anything.
func open(cfg Config) (*Stack, error) {
	b, err := os.ReadFile(cfg.secretsFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil, advise(errors.New("there is no stack of this name"), "", "start it with `make up`")
	}
	if err != nil {
		return nil, err
	}
	s := &Stack{cfg: cfg, secrets: new(secrets)}
	if err := json.Unmarshal(b, s.secrets); err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.secretsFile(), err)
	}
	if s.consul, err = cfg.consulClient(s.secrets.ConsulManagementToken); err != nil {
		return nil, err
	}
	if s.nomad, err = cfg.nomadClient(s.secrets.NomadManagementToken); err != nil {
		return nil, err
	}
	s.bridge, _ = bridgeIP() // absent while the engine is down
	return s, nil
}

func (s *Stack) consulHealthy() error {
	leader, err := s.consul.Status().Leader()
	if err == nil && leader == "" {
		err = errors.New("no leader")
	}
	return err
}

// sliceCounts says how many slices are in each state.
func (s *Stack) sliceCounts(ctx context.Context) (string, error) {
	conn, err := pgx.Connect(ctx, s.DatabaseURL("platform"))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT state, count(*) FROM gateway.slices WHERE state <> 'gone' GROUP BY state`)
	if err != nil {
		return "", err
	}
	var state string
	var n int
	var counts []string
	_, err = pgx.ForEachRow(rows, []any{&state, &n}, func() error {
		counts = append(counts, fmt.Sprintf("%d %s", n, state))
		return nil
	})
	if err != nil {
		return "", err
	}
	if counts == nil {
		return "none", nil
	}
	sort.Strings(counts)
	return strings.Join(counts, ", "), nil
}

// WriteStatus prints the parts as a table and reports whether all are healthy.
func WriteStatus(out io.Writer, parts []Part) bool {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	healthy := true
	for _, p := range parts {
		mark := "✓"
		if !p.Healthy {
			mark, healthy = "✗", false
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", mark, p.Name, p.Detail)
	}
	w.Flush()
	return healthy
}

// WriteSummary prints where everything is and how to log in.
func (s *Stack) WriteSummary(out io.Writer) {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("")
	line("The platform is up.")
	line("")
	line("  App         %s   (self-signed certificate: accept it once)", s.cfg.AppURL())
	if s.cfg.Demo() {
		line("  Phone       %s/phone   (demo mode: WhatsApp and the phone are stand-ins)", s.SimURL())
	}
	line("  Admin       log in to the app as %s with %s", s.cfg.AdminEmail, s.secrets.AdminPassword)
	line("")
	line("  Nomad UI    %s/ui/    token %s", s.cfg.nomadAddr(), s.secrets.NomadManagementToken)
	line("  Consul UI   http://%s/ui/    token %s", s.cfg.consulAddr(), s.secrets.ConsulManagementToken)
	line("")
	line("  CLI         eval \"$(make env)\"   then: nomad job status -namespace=slices, consul catalog services")
	line("  State       %s   (secrets in secrets.json, readable by root only; logs in log/)", s.cfg.StateDir)
	line("")
	line("`make status` shows each part, `make down` stops all and keeps the data, `make destroy` removes it.")
	io.WriteString(out, b.String())
}

// Environ is how to reach the stack, as environment variables: for the Nomad
// and Consul command lines, and for the tests.
func (s *Stack) Environ() []string {
	return []string{
		"NOMAD_ADDR=" + s.cfg.nomadAddr(),
		"NOMAD_TOKEN=" + s.secrets.NomadManagementToken,
		"CONSUL_HTTP_ADDR=" + s.cfg.consulAddr(),
		"CONSUL_HTTP_TOKEN=" + s.secrets.ConsulManagementToken,
	}
}

// ShellExports is Environ as lines for a shell, and the nomad and consul
// programs where PATH has none of its own.
func (s *Stack) ShellExports(ctx context.Context) ([]string, error) {
	var lines []string
	for _, v := range s.Environ() {
		lines = append(lines, "export "+v)
	}
	for _, t := range []tool{nomadTool, consulTool} {
		if _, _, ok := t.onPath(ctx); ok {
			continue
		}
		path, _, err := s.cfg.builtTool(t)
		if err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprintf(`export PATH="%s:$PATH"`, filepath.Dir(path)))
	}
	return lines, nil
}

// Open attaches to the running stack.
func Open(cfg Config) (*Stack, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return open(cfg)
}
