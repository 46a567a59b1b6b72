package whatsappsim

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"ipnoelp.io/platform"
)

var (
	// phonePattern is a number in international form without "+": E.164 allows
	// 15 digits, and none in use has fewer than 7.
	phonePattern = regexp.MustCompile(`^[1-9][0-9]{6,14}$`)
	chatPattern  = regexp.MustCompile(`^[1-9][0-9]{6,14}@(c\.us|lid)$`)
	keyPattern   = regexp.MustCompile(`^[0-9A-F]{16,40}$`)
)

func phoneFault(s string) string {
	switch {
	case s == "":
		return "is required"
	case !phonePattern.MatchString(s):
		return "must be a phone number of 7 to 15 digits with country code and without +, such as 4915112345678"
	}
	return ""
}

func chatFault(s string) string {
	switch {
	case s == "":
		return "is required"
	case !chatPattern.MatchString(s):
		return "must be a chat such as 4917012345@c.us"
	}
	return ""
}

func nameFault(s string) string {
	switch {
	case strings.TrimSpace(s) == "":
		return "is required"
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return "must be one line of text"
	case utf8.RuneCountInString(s) > maxNameRunes:
		return "must have at most 100 characters"
	}
	return ""
}

func textFault(s string) string {
	switch {
	case strings.TrimSpace(s) == "":
		return "is required"
	case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		return "must be text"
	case len(s) > maxTextBytes:
		return "must have at most 65536 bytes"
	}
	return ""
}

// faults collects what is wrong with an input.
type faults []platform.FieldError

func (f *faults) check(field, detail string) {
	if detail != "" {
		*f = append(*f, platform.FieldError{Field: field, Detail: detail})
	}
}

func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return platform.Invalid(f...)
}
