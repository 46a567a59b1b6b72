package webhooks

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestURL(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"https://example.com", "http://example.com:8080/a?b=c", "https://8.8.8.8/", "https://EXAMPLE.com./x",
		"https://[2606:4700:4700::1111]/", "https://xn--bcher-kva.example/", "https://a_b.example.com/%00",
	} {
		if fault := checkURL(good, isPublic); fault != "" {
			t.Errorf("%s: refused: %s", good, fault)
		}
	}
	for _, bad := range []string{
		"", "x", "/hook", "//example.com/", "ftp://example.com", "file:///etc/passwd", "gopher://example.com/", "https:example.com",
		"https://", "https://:80/", "https://example.com:0/", "https://example.com:70000/", "https://example.com:/", "https://example.com:x/",
		"https://u:p@example.com/", "https://example.com/#x", "https://example.com/#", "https://exa mple.com/", "https://bücher.example/",
		"https://example.com\\@127.0.0.1/", "https://example.com\x00/", "https://-a.example/", "https://a..example/",
		"https://" + strings.Repeat("a.", 200) + "com", "https://example.com/" + strings.Repeat("a", 3000),
		// Inside, by name.
		"http://localhost/", "http://LOCALHOST:8080", "http://localhost./", "http://a.localhost", "http://postgres/", "http://printer.local",
		"http://metadata.google.internal/", "http://slice-1.service.consul/", "http://1.0.0.127.in-addr.arpa",
		// Inside, by number, however it is written.
		"http://127.0.0.1/", "http://127.1/", "http://2130706433/", "http://0x7f000001/", "http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://0/",
		"http://127.0.0.1./", "http://010.0.0.1", "http://0x/", "http://1.2.3.4.5/", "http://example.0x7f/",
		"http://[::1]/", "http://[::]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[::127.0.0.1]/", "http://[fe80::1%25eth0]/",
		"http://[fd00::1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://[2001::1]/", "http://[ff02::1]/", "http://[2001:db8::1]/",
		"http://169.254.169.254/latest/meta-data", "http://100.64.0.1/", "http://0.0.0.0/", "http://10.1.2.3/", "http://172.31.0.1/", "http://192.168.0.1/",
		"http://224.0.0.1/", "http://255.255.255.255/", "http://198.18.0.1/",
	} {
		if checkURL(bad, isPublic) == "" {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestDialledAddress(t *testing.T) {
	t.Parallel()
	check := control(isPublic)
	for address, want := range map[string]bool{
		"93.184.216.34:443": true, "[2606:4700::1]:443": true, "127.0.0.1:80": false, "[::1]:80": false, "[::ffff:10.0.0.1]:80": false,
		"[fe80::1%lo]:80": false, "example.com:80": false, "": false, "169.254.169.254:80": false,
	} {
		if err := check("tcp", address, nil); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func FuzzURL(f *testing.F) {
	f.Add("https://example.com/")
	f.Add("http://[::ffff:7f00:1]/")
	f.Fuzz(func(t *testing.T, text string) {
		if checkURL(text, isPublic) != "" {
			return
		}
		u, err := url.Parse(text) // as the client does
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if a, err := netip.ParseAddr(u.Hostname()); err == nil && !isPublic(a) || !strings.Contains(text, ".") && err != nil {
			t.Errorf("%q leads to %s", text, u.Hostname())
		}
	})
}
