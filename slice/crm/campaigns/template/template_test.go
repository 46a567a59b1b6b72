package template

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestRender(t *testing.T) {
	t.Parallel()
	values := func(name string) string {
		return map[string]string{"name": "Ana {{company}}", "first_name": "Ana", "company": " ", "custom.city": "Köln", "my_name": "$1 %s \\n"}[name]
	}
	for text, want := range map[string]string{
		"":                                   "",
		"plain } { }} text":                  "plain } { }} text",
		"{{name}}":                           "Ana {{company}}", // not again
		"Hi {{ first_name }}!":               "Hi Ana!",
		"{{company|your company}}":           "your company",
		"{{company|}}{{phone}}":              "",
		"{{phone| a|b }}":                    " a|b ",
		"{{custom.city}}, {{custom.none|x}}": "Köln, x",
		"{{my_name}}":                        "$1 %s \\n",
		"{{first_name}}}":                    "Ana}",
		"{ {{first_name}}{{first_name}}":     "{ AnaAna",
	} {
		tpl, err := Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := tpl.Render(values); got != want {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for text, position := range map[string]int{
		"{{":                                     1,
		"ü {{name":                               3,
		"{{name}} {{Name}}":                      10,
		"{{}}":                                   1,
		"{{name.x}}":                             1,
		"{{custom.}}":                            1,
		"{{custom.A}}":                           1,
		"{{custom.a'; DROP TABLE x}}":            1,
		"{{#if x}}":                              1,
		"{{{name}}}":                             1,
		"{{name|{{company}}}}":                   1,
		"{{name\n}}":                             1,
		"ab{{name|\n}}":                          3,
		strings.Repeat("{{name}}", 101):          801,
		"{{" + strings.Repeat("x", 10000):        1,
		"{{" + strings.Repeat("x", 10000) + "}}": 1,
	} {
		_, err := Parse(text)
		var fault *Error
		if !errors.As(err, &fault) || fault.Position != position || len(err.Error()) > 200 {
			t.Errorf("%.50q: %v, want a fault at %d", text, err, position)
		}
	}
}

func TestCustom(t *testing.T) {
	t.Parallel()
	tpl, err := Parse("{{custom.b}}{{name}}{{custom.a}}{{custom.b}}")
	if err != nil {
		t.Fatal(err)
	}
	if got := tpl.Custom(); len(got) != 2 || got["b"] != 1 || got["a"] != 21 {
		t.Errorf("custom fields: %v", got)
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("Hello {{first_name|there}}, {{custom.city}}", "x")
	f.Add("{{name}}{{", "{{name}}")
	f.Fuzz(func(t *testing.T, text, value string) {
		tpl, err := Parse(text)
		if err != nil {
			var fault *Error
			if !errors.As(err, &fault) || fault.Position < 1 || fault.Position > utf8.RuneCountInString(text) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		calls := 0
		got := tpl.Render(func(string) string { calls++; return value })
		if calls != strings.Count(text, "{{") {
			t.Errorf("%q: %d values were asked for", text, calls)
		}
		if strings.TrimSpace(value) != "" && strings.Count(got, value) < calls {
			t.Errorf("%q with %q gives %q", text, value, got)
		}
		if calls == 0 && got != text {
			t.Errorf("%q without variables gives %q", text, got)
		}
	})
}
