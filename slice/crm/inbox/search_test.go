package inbox

import "testing"

func TestWordsOf(t *testing.T) {
	t.Parallel()
	for q, want := range map[string]string{
		"Hello": "'Hello':*", "  two words ": "'two':* & 'words':*", "": "", "!!! & | '": "", "o'brien": "'o':* & 'brien':*",
		"grüße 1:*": "'grüße':* & '1':*", `a\b`: "'a':* & 'b':*", "1 2 3 4 5 6 7 8 9": "'1':* & '2':* & '3':* & '4':* & '5':* & '6':* & '7':* & '8':*",
	} {
		if got := wordsOf(q); got != want {
			t.Errorf("wordsOf(%q) = %s, want %s", q, got, want)
		}
	}
}

func TestDigitsOf(t *testing.T) {
	t.Parallel()
	for q, want := range map[string]string{
		"+49 151 123": "49151123", "0049 151/123": "49151123", "0151-123": "151123", "(030) 12": "3012", "12": "", "ana": "", "1a2b3c": "", "": "",
	} {
		if got := digitsOf(q); got != want {
			t.Errorf("digitsOf(%q) = %s, want %s", q, got, want)
		}
	}
}
