package event_test

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ipnoelp.io/platform/slice/crm/event"
)

// published are told to clients only.
var published = []string{"chat:typing"}

var eventName = regexp.MustCompile(`"([a-z_]+:[a-z_]+)"`)

// Whatever a part of the CRM tells, a webhook can ask for.
func TestNamesAreComplete(t *testing.T) {
	t.Parallel()
	if !slices.IsSorted(event.Names) {
		t.Error("Names are not sorted")
	}
	crm := os.DirFS("..")
	err := fs.WalkDir(crm, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := fs.ReadFile(crm, path)
		if err != nil {
			return err
		}
		for _, m := range eventName.FindAllStringSubmatch(string(text), -1) {
			if name := m[1]; !slices.Contains(event.Names, name) && !slices.Contains(published, name) {
				t.Errorf("%s: %s is not in Names", path, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
