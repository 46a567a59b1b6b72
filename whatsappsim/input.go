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
	chatPattern  = regexp.MustCompile(`^[1-9][0-9]{6,14}@(c\.us|lid)$|^[0-9]{10,31}@g\.us$`)
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

// cutPhone returns the number of a chat that has one.
func cutPhone(chat string) (phone string, ok bool) { return strings.CutSuffix(chat, "@c.us") }

// emojiFault lets pass what can be a reaction: one emoji has at most as many
// code points as a family with skin tones.
func emojiFault(s string) string {
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > 12 || strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.IsSpace(r) || r < utf8.RuneSelf && !strings.ContainsRune("#*0123456789", r)
	}) {
		return "must be one emoji, or empty"
	}
	return ""
}

// mimePattern is a type as RFC 6838 allows it, perhaps with a parameter.
var mimePattern = regexp.MustCompile(`^[a-z]+/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}(; ?[a-z]+=[A-Za-z0-9.,_"+-]{1,64})*$`)

// mediaFault checks what a sender says of a file.
func mediaFault(m media) string {
	switch {
	case !mimePattern.MatchString(m.MIMEType):
		return "must be a type such as image/jpeg"
	case m.Name != "" && (!utf8.ValidString(m.Name) || strings.ContainsFunc(m.Name, unicode.IsControl) || len(m.Name) > maxFileName):
		return "must be a name of at most 255 bytes"
	case min(m.Width, m.Height, m.Seconds) < 0 || m.Size < 0:
		return "must not be negative"
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
