package platform_test

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "ipnoelp.io/platform"

type goPackage struct {
	ImportPath, Name, Doc string
	Imports               []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Name,Doc,Imports", "./...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(p.ImportPath, "/node_modules/") {
			continue
		}
		all = append(all, p)
	}
}

// Who must not import whom, by the first element of the package's path.
func TestImportDirections(t *testing.T) {
	adapters := []string{"postgres", "nomad", "consul", "stripe", "mail"}
	forbidden := map[string][]string{
		"":            {"*"}, // the domain: the standard library only
		"problem":     append([]string{"gateway", "provisioner", "slice", "internal", "cmd"}, adapters...),
		"tracing":     append([]string{"gateway", "provisioner", "slice", "internal", "cmd"}, adapters...),
		"sparse":      append([]string{"gateway", "provisioner", "slice", "problem", "tracing", "internal", "cmd"}, adapters...),
		"gateway":     append([]string{"provisioner", "slice", "whatsappsim", "internal", "cmd"}, adapters...),
		"provisioner": append([]string{"gateway", "slice", "whatsappsim", "internal", "cmd"}, adapters...),
		"slice":       append([]string{"gateway", "provisioner", "whatsappsim", "internal", "cmd"}, adapters...),
		"whatsappsim": append([]string{"gateway", "provisioner", "slice", "internal", "cmd"}, adapters...),
		// An adapter may use the types of the program whose interface it fills.
		"postgres": {"slice", "internal", "cmd", "nomad", "consul"},
		"nomad":    {"slice", "internal", "cmd", "postgres", "consul"},
		"consul":   {"slice", "internal", "cmd", "postgres", "nomad"},
		"mail":     {"slice", "internal", "cmd", "postgres", "nomad", "consul"},
	}
	for _, p := range packages(t) {
		area := first(p.ImportPath)
		for _, imported := range p.Imports {
			own := imported == module || strings.HasPrefix(imported, module+"/")
			if area == "" && (own || strings.Contains(strings.SplitN(imported, "/", 2)[0], ".")) {
				t.Errorf("the domain imports %s", imported)
			}
			for _, f := range forbidden[area] {
				if own && f == first(imported) && area != "" {
					t.Errorf("%s imports %s", p.ImportPath, imported)
				}
			}
		}
	}
}

// first is the first element of a package's path below the module.
func first(path string) string {
	rel := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
	return strings.SplitN(rel, "/", 2)[0]
}

func TestEveryPackageHasADoc(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
		switch p.Name {
		case "util", "utils", "common", "helpers", "models", "misc":
			t.Errorf("%s: a package is named for what it is", p.ImportPath)
		}
	}
}

// The gateway decides itself whose X-Forwarded-For counts; gin's own idea of it
// believes everybody unless told otherwise.
func TestNobodyAsksGinForTheClient(t *testing.T) {
	err := filepath.WalkDir("gateway", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, call := range []string{".ClientIP(", ".RemoteIP("} {
			if strings.Contains(string(text), call) {
				t.Errorf("%s calls %s", path, call)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Relayed WebSockets are bytes: the library is for those that the gateway speaks.
func TestRelayParsesNoFrames(t *testing.T) {
	for _, p := range packages(t) {
		switch strings.TrimPrefix(p.ImportPath, module+"/gateway/") {
		case "proxy", "upstream", "downstream":
			if slices.Contains(p.Imports, "github.com/gorilla/websocket") {
				t.Errorf("%s imports gorilla/websocket", p.ImportPath)
			}
		}
	}
}
