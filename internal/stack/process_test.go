package stack

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestProcessInTheBackground(t *testing.T) {
	dir := t.TempDir()
	p := process{name: "sleep", pidFile: filepath.Join(dir, "sleep.pid"), logFile: filepath.Join(dir, "sleep.log")}
	if err := p.start("sleep", nil, "60"); err != nil {
		t.Fatal(err)
	}
	defer p.stop(t.Context(), time.Second)
	if err := p.background(); err != nil {
		t.Fatal(err)
	}
	group, err := os.ReadFile(fmt.Sprintf("/proc/%d/autogroup", p.pid()))
	if err == nil && !strings.HasSuffix(strings.TrimSpace(string(group)), "nice "+backgroundNice) {
		t.Errorf("its session is %q", group)
	}
}
