//go:build integration

package whatsapp

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ipnoelp.io/platform/whatsappsim"
)

func bundlePath(t *testing.T) string {
	t.Helper()
	path := os.Getenv("WA_JS_BUNDLE")
	if path == "" {
		t.Fatal("WA_JS_BUNDLE is not set: it names the wa-js bundle (`make test` sets it)")
	}
	return path
}

// open starts a browser on a page and waits until that is loaded.
func open(t *testing.T, url string) *browser {
	t.Helper()
	cfg := testConfig(t, url)
	version, err := chromiumMajor(t.Context(), cfg.ChromiumPath)
	if err != nil {
		t.Fatal(err)
	}
	b, err := launch(t.Context(), cfg, version)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if err := b.navigate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	for deadline := time.After(patience); !b.queue.take().loaded; {
		select {
		case <-b.queue.wake:
		case <-deadline:
			t.Fatal("the page was never loaded")
		}
	}
	return b
}

// openPlain opens a page with nothing in it, whose policy forbids all scripts.
func openPlain(t *testing.T) *browser {
	t.Helper()
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'none'")
		fmt.Fprint(w, "<!doctype html><title>plain</title>")
	}))
	t.Cleanup(plain.Close)
	return open(t, plain.URL)
}

func TestBundleIsInjectedWhereThePageHasNoWPP(t *testing.T) {
	t.Parallel()
	b := openPlain(t)
	if err := b.install(t.Context(), ""); err == nil {
		t.Error("a page without WPP and without a bundle is taken for usable")
	}
	for range 2 { // the second time changes nothing
		if err := b.install(t.Context(), bundlePath(t)); err != nil {
			t.Fatal(err)
		}
	}
	var got struct {
		Version   string
		Analytics bool
	}
	if err := b.evaluate(t.Context(), evalTimeout, `({Version: WPP.version, Analytics: WPPConfig.disableGoogleAnalytics})`, &got); err != nil {
		t.Fatal(err)
	}
	if strings.TrimPrefix(got.Version, "v") != "4.6.0" || !got.Analytics {
		t.Errorf("after injection: %+v", got)
	}
}

// kinds is what a page's WPP holds, two levels deep: the kind by the name. Not
// every value can be read without WhatsApp's own modules.
const kinds = `(() => {
	const found = {};
	const kind = (of, name) => { try { return typeof of[name]; } catch { return 'unreadable'; } };
	for (const name of Object.keys(WPP)) {
		found[name] = kind(WPP, name);
		if (found[name] === 'object' && WPP[name]) for (const inner of Object.keys(WPP[name])) found[name + '.' + inner] = kind(WPP[name], inner);
	}
	return found;
})()`

var (
	usedName  = regexp.MustCompile(`\bWPP\.(\w+(?:\.\w+)?)`)
	eventName = regexp.MustCompile(`'((?:conn|chat|loader)\.[a-z_]+)'`)
)

// What the agent uses and what the stand-in offers is in the real wa-js, of the
// same kind: a stand-in with a name of its own would make tests pass and the
// slice fail.
func TestNamesExistInTheRealBundle(t *testing.T) {
	t.Parallel()
	path := bundlePath(t)
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	plain := openPlain(t)
	if err := plain.install(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	real := map[string]string{}
	if err := plain.evaluate(t.Context(), evalTimeout, kinds, &real); err != nil {
		t.Fatal(err)
	}
	if len(real) < 300 { // 4.6.0 has 600 and more
		t.Fatalf("the real WPP holds %d names: it was not loaded", len(real))
	}

	sim, err := whatsappsim.New(whatsappsim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(sim)
	t.Cleanup(func() { sim.Close(); web.CloseClientConnections(); web.Close() })
	stand := open(t, web.URL+"/")
	if err := stand.evaluate(t.Context(), evalTimeout, `new Promise((done) => { const look = () => window.WPP?.isReady ? done() : setTimeout(look, 10); look(); })`, nil); err != nil {
		t.Fatal(err)
	}
	offered := map[string]string{}
	if err := stand.evaluate(t.Context(), evalTimeout, kinds, &offered); err != nil {
		t.Fatal(err)
	}

	for _, name := range slices.Sorted(maps.Keys(offered)) {
		if real[name] != offered[name] {
			t.Errorf("the stand-in has WPP.%s, a %s; wa-js has %q", name, offered[name], real[name])
		}
	}
	used := names(usedName, []byte(agentScript))
	if len(used) < 30 {
		t.Fatalf("only %d names found in the agent", len(used))
	}
	for _, name := range used {
		if real[name] == "" {
			t.Errorf("the agent uses WPP.%s, which wa-js has not", name)
		}
		if offered[name] == "" {
			t.Errorf("the agent uses WPP.%s, which the stand-in has not", name)
		}
	}

	events := names(eventName, []byte(agentScript))
	if len(events) < 15 {
		t.Fatalf("only %d events found in the agent", len(events))
	}
	assets, err := filepath.Glob("../../whatsappsim/assets/*.js")
	if err != nil || len(assets) == 0 {
		t.Fatalf("the stand-in's scripts were not found: %v", err)
	}
	for _, asset := range assets {
		script, err := os.ReadFile(asset)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, names(eventName, script)...)
	}
	for _, name := range events {
		if !bytes.Contains(source, []byte(`"`+name+`"`)) {
			t.Errorf("wa-js has no event %s", name)
		}
	}
}

func names(pattern *regexp.Regexp, script []byte) (list []string) {
	for _, m := range pattern.FindAllSubmatch(script, -1) {
		list = append(list, string(m[1]))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// The compiler reads the agent itself, with wa-js's type files: calls, events,
// and the fields of models that it uses.
func TestAgentKeepsToTheTypesOfWAJS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "tsconfig.json", "page.d.ts"} {
		b, err := os.ReadFile(filepath.Join("testdata", "types", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("this test needs Node and npm, and wa-js and TypeScript from their registry: %v\n%s", err, out)
	}
	compile := func(agent string) (string, error) {
		if err := os.WriteFile(filepath.Join(dir, "agent.js"), []byte(agent), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("node", "node_modules/typescript/bin/tsc", "-p", ".")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := compile(agentScript); err != nil {
		t.Errorf("the agent is not what wa-js expects: %v\n%s", err, out)
	}
	// A compiler that finds nothing wrong may have read nothing.
	wrong := strings.NewReplacer("markIsComposing(chatId)", "markIsComposing({})", "'conn.main_loaded'", "'conn.main_leaded'", "e.msgId", "e.messageId").Replace(agentScript)
	out, err := compile(wrong)
	if err == nil || strings.Count(out, "error TS") != 3 {
		t.Errorf("three mistakes give %v\n%s", err, out)
	}

	shipped, err := os.ReadFile(bundlePath(t))
	if err != nil {
		t.Fatal(err)
	}
	typed, err := os.ReadFile(filepath.Join(dir, "node_modules/@wppconnect/wa-js/dist/wppconnect-wa.js"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(shipped, typed) {
		t.Error("the bundle in use is not the one of these type files")
	}
}
