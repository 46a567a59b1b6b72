package platform

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"
)

// The words that well-known lists of leaked passwords have in common, collected
// by hand for this program. Entries are lower case; those of ten characters and
// more are refused as they are, and all of them with digits or signs around.
//
//go:embed common_passwords.txt
var commonPasswordsText string

var commonPasswords = sync.OnceValue(func() map[string]bool {
	words := make(map[string]bool)
	for line := range strings.Lines(commonPasswordsText) {
		if w := strings.TrimSpace(line); w != "" && w[0] != '#' {
			words[w] = true
		}
	}
	return words
})

// rows are what fingers and counting follow.
var rows = []string{
	"01234567890123456789", "abcdefghijklmnopqrstuvwxyz",
	"qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "azertyuiopqsdfghjklmwxcvbn",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "qazwsxedcrfvtgbyhnujmikolp",
	"!@#$%^&*()",
}

// unleet undoes the usual replacements of letters.
var unleet = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")

// commonPassword reports whether a password in lower case is among the first
// that others would guess: a well-known word with digits or signs around it,
// also written twice; a row of the keyboard; or a few characters repeated.
func commonPassword(lower string) bool {
	words := commonPasswords()
	unit := repeated(lower)
	for _, s := range []string{lower, unit} {
		trimmed := strings.TrimFunc(s, func(r rune) bool { return !unicode.IsLetter(r) })
		for _, w := range []string{s, trimmed, unleet.Replace(s), strings.TrimFunc(unleet.Replace(trimmed), func(r rune) bool { return !unicode.IsLetter(r) })} {
			if words[w] {
				return true
			}
		}
	}
	if len([]rune(unit)) <= 4 && unit != lower {
		return true
	}
	core := strings.TrimFunc(unit, func(r rune) bool { return !unicode.IsLetter(r) })
	for _, row := range rows {
		if inRow(unit, row) || len(core) >= 6 && inRow(core, row) {
			return true
		}
	}
	return false
}

// repeated returns the shortest string of which s is a repetition.
func repeated(s string) string {
	for n := 1; n <= len(s)/2; n++ {
		if len(s)%n == 0 && strings.Repeat(s[:n], len(s)/n) == s {
			return s[:n]
		}
	}
	return s
}

// inRow reports whether s is made of a few runs along a row, there or back:
// "1234567890", "0987654321", "qwertyasdf", "abcdef123456" by parts.
func inRow(s, row string) bool {
	const shortest = 4 // a run below it is chance
	back := reversed(row)
	for s != "" {
		n := 0
		for i := len(s); i >= shortest; i-- {
			if strings.Contains(row, s[:i]) || strings.Contains(back, s[:i]) || strings.Contains(rows[0], s[:i]) {
				n = i
				break
			}
		}
		if n == 0 {
			return false
		}
		s = s[n:]
	}
	return true
}

func reversed(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}
