package contacts

import "strings"

const (
	minPhoneDigits = 7
	maxPhoneDigits = 15 // E.164
)

// digits returns the digits of a phone number in a usual spelling, after a "+"
// when it is international, and whether it is one. The zero in brackets, which
// is for calls within a country, is left out.
func digits(s string) (string, bool) {
	s = strings.TrimSpace(s)
	international := strings.HasPrefix(s, "+") || strings.HasPrefix(s, "00")
	if strings.HasPrefix(s, "+") {
		s = s[1:]
	} else if international {
		s = s[2:]
	}
	if international {
		s = strings.Replace(s, "(0)", "", 1)
	}
	var b strings.Builder
	if international {
		b.WriteByte('+')
	}
	for _, c := range s {
		switch {
		case c >= '0' && c <= '9':
			b.WriteRune(c)
		case strings.ContainsRune(" -–./()\u00a0\u202f\u2011", c):
		default:
			return "", false
		}
	}
	return b.String(), true
}

// Phone returns an international phone number as "+" and digits, and whether s
// is one.
func Phone(s string) (string, bool) {
	d, ok := digits(s)
	if !ok || len(d) < 1+minPhoneDigits || len(d) > 1+maxPhoneDigits || d[0] != '+' || d[1] == '0' {
		return "", false
	}
	return d, true
}

// phonePart returns what a stored phone number must hold to be meant by a search,
// "" when the search is for no number.
func phonePart(q string) string {
	d, ok := digits(q)
	if !ok || len(d) < 3 {
		return ""
	}
	return strings.TrimPrefix(d, "0") // within the country
}
