// Package template fills variables into texts: "Hello {{first_name|there}}".
//
// A variable is {{name}} or {{name|fallback}}; the fallback stands where the
// value is empty. Nothing else means anything: there are no expressions, values
// are put in as they are, and what they hold is never read as a template.
package template

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

const (
	open, end = "{{", "}}"
	separator = "|"

	// MaxVariables in one text bounds what rendering makes of it.
	MaxVariables = 100

	customPrefix = "custom."
)

// Names are the variables besides those of custom fields.
var Names = []string{"name", "first_name", "company", "phone", "my_name"}

var customKey = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)

// Error is what is wrong with a text.
type Error struct {
	Position int // in characters, from 1
	Detail   string
}

func (e *Error) Error() string { return fmt.Sprintf("%s (at character %d)", e.Detail, e.Position) }

// Template is a text that was parsed.
type Template struct{ parts []part }

// part is a literal text and the variable after it, which the last one has not.
type part struct {
	literal  string
	name     string
	fallback string
	position int
}

// Parse reads a text. Names besides Names and custom.key are errors.
func Parse(text string) (*Template, error) {
	t := &Template{}
	rest, position := text, 1
	for {
		literal, after, found := strings.Cut(rest, open)
		if !found {
			t.parts = append(t.parts, part{literal: rest})
			return t, nil
		}
		position += utf8.RuneCountInString(literal)
		body, behind, closed := strings.Cut(after, end)
		if !closed {
			return nil, &Error{position, "{{ is not closed with }}"}
		}
		name, fallback, _ := strings.Cut(body, separator)
		name = strings.TrimSpace(name)
		switch {
		case strings.Contains(body, open):
			return nil, &Error{position, "{{ is not closed with }}"}
		case strings.ContainsAny(body, "\r\n"):
			return nil, &Error{position, "a variable must be on one line"}
		case !known(name):
			return nil, &Error{position, fmt.Sprintf("%s is not a variable", quote(name))}
		case len(t.parts) == MaxVariables:
			return nil, &Error{position, fmt.Sprintf("there must be at most %d variables", MaxVariables)}
		}
		t.parts = append(t.parts, part{literal, name, fallback, position})
		position += utf8.RuneCountInString(open + body + end)
		rest = behind
	}
}

func known(name string) bool {
	if key, isCustom := strings.CutPrefix(name, customPrefix); isCustom {
		return customKey.MatchString(key)
	}
	for _, n := range Names {
		if n == name {
			return true
		}
	}
	return false
}

// quote shows the beginning of a name.
func quote(name string) string {
	const maxChars = 40
	if r := []rune(name); len(r) > maxChars {
		name = string(r[:maxChars]) + "…"
	}
	return fmt.Sprintf("%q", name)
}

// Custom returns the keys of custom fields that the text uses, with the position
// of the first use.
func (t *Template) Custom() map[string]int {
	keys := make(map[string]int)
	for _, p := range t.parts {
		if key, isCustom := strings.CutPrefix(p.name, customPrefix); isCustom {
			if _, seen := keys[key]; !seen {
				keys[key] = p.position
			}
		}
	}
	return keys
}

// Values returns the value of a variable, "" when there is none.
type Values func(name string) string

// Render puts the values in.
func (t *Template) Render(values Values) string {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.literal)
		if p.name == "" {
			continue
		}
		value := values(p.name)
		if strings.TrimSpace(value) == "" {
			value = p.fallback
		}
		b.WriteString(value)
	}
	return b.String()
}
