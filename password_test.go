package platform_test

import (
	"strings"
	"testing"

	"ipnoelp.io/platform"
)

func TestPasswordFault(t *testing.T) {
	for _, p := range []string{
		"", "short", "123456789", "🔑🔑🔑", "\xff1234567890", strings.Repeat("x", 129),
		"password123", "Password123!", "P@ssw0rd2024", "passwordpassword", "1234567890", "0987654321", "12345678901234567890",
		"aaaaaaaaaa", "abababababab", "qwertyuiop", "QWERTYUIOP", "qwerty123456", "qwertyuiop123", "asdfghjkl1234", "abcdefghij", "1q2w3e4r5t", "1qaz2wsx3edc",
		"iloveyou2024", "administrator", "letmein!!!!!", "Welcome2025!", "!@#$%^&*()", "qwertzuiop", "testtest123",
		"ana.gomez@example.com", "Ana.Gomez@Example.com1",
	} {
		if platform.PasswordFault(p, "ana.gomez@example.com") == "" {
			t.Errorf("%q is taken", p)
		}
	}
	if platform.PasswordFault("ana.de.la.gomez", "ana.de.la.gomez@example.com") == "" {
		t.Error("the name in the address is taken")
	}
	for _, p := range []string{
		"correct horse", "benchmark password", "eGs7#kd02LqZ", "mi perro se llama Toby", "🔑🔑🔑🔑🔑🔑🔑🔑🔒🔒", "contraseña-larga-y-rara",
		"X4QZ7W2MNB", "password of the house", "a1b2c3d4e5f6g7",
	} {
		if d := platform.PasswordFault(p, "ana@example.com"); d != "" {
			t.Errorf("%q: %s", p, d)
		}
	}
}
