package request

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"ipnoelp.io/platform"
)

func TestOptional(t *testing.T) {
	t.Parallel()
	type body struct {
		Text  Optional[string] `json:"text"`
		Count Optional[int]    `json:"count"`
	}
	read := func(s string) (b body, err error) {
		r := httptest.NewRequest("PATCH", "/", strings.NewReader(s))
		r.Header.Set("Content-Type", "application/json")
		err = JSON(httptest.NewRecorder(), r, &b)
		return b, err
	}
	b, err := read(`{"text":null}`)
	if err != nil || !b.Text.Given || b.Text.Value != nil || b.Count.Given {
		t.Errorf("null: %+v, %v", b, err)
	}
	b, err = read(`{"count":3}`)
	if err != nil || b.Text.Given || b.Count.Value == nil || *b.Count.Value != 3 {
		t.Errorf("a value: %+v, %v", b, err)
	}
	for _, s := range []string{`{"count":"3"}`, `{"count":1.5}`, `{"count":[1]}`} {
		if _, err := read(s); err == nil || !strings.Contains(err.Error(), "count") {
			t.Errorf("%s: %v, want an error that names the field", s, err)
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	query := func(s string) string { return "/?" + s }
	for name, tc := range map[string]struct {
		check func(f *Faults)
		wrong bool
	}{
		"a name":          {func(f *Faults) { f.Name("x", " Anna ", 4) }, false},
		"a blank name":    {func(f *Faults) { f.Name("x", " \n", 4) }, true},
		"a long name":     {func(f *Faults) { f.Name("x", "Annas", 4) }, true},
		"U+0000":          {func(f *Faults) { f.Text("x", "a\x00", 4) }, true},
		"not UTF-8":       {func(f *Faults) { f.Text("x", "\xff", 4) }, true},
		"an id":           {func(f *Faults) { f.ID("x", "12") }, false},
		"an id like +1":   {func(f *Faults) { f.ID("x", "+1") }, true},
		"a huge id":       {func(f *Faults) { f.ID("x", "9223372036854775808") }, true},
		"id 0":            {func(f *Faults) { f.ID("x", "0") }, true},
		"a zone":          {func(f *Faults) { f.Zone(httptest.NewRequest("GET", query("tz=America/New_York"), nil)) }, false},
		"no zone":         {func(f *Faults) { f.Zone(httptest.NewRequest("GET", "/", nil)) }, false},
		"an unknown zone": {func(f *Faults) { f.Zone(httptest.NewRequest("GET", query("tz=Mars/Olympus"), nil)) }, true},
		"the zone Local":  {func(f *Faults) { f.Zone(httptest.NewRequest("GET", query("tz=Local"), nil)) }, true},
		"an empty zone":   {func(f *Faults) { f.Zone(httptest.NewRequest("GET", query("tz="), nil)) }, true},
		"a path as zone": {func(f *Faults) {
			f.Zone(httptest.NewRequest("GET", query("tz="+url.QueryEscape("../../etc/passwd")), nil))
		}, true},
		"given twice": {func(f *Faults) { f.Query(httptest.NewRequest("GET", query("q=1&q=2"), nil), "q", 5) }, true},
	} {
		var f Faults
		tc.check(&f)
		if (platform.CodeOf(f.Err()) == platform.ErrInvalid) != tc.wrong {
			t.Errorf("%s: %v, want an error: %v", name, f.Err(), tc.wrong)
		}
	}
}
