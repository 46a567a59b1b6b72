package webhooks

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

const maxURLBytes = 2048

// private are the IPv4 ranges that are not somebody's on the internet, after
// IANA's registry of special-purpose addresses.
var private = prefixes("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4")

// Of IPv6 only global unicast is public; NAT64, ULA, link-local, multicast and
// the rest are outside. Inside of it, these lead elsewhere: Teredo and others,
// documentation, 6to4, which holds an IPv4 address.
var (
	global        = netip.MustParsePrefix("2000::/3")
	globalSpecial = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)

func prefixes(list ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(list))
	for i, s := range list {
		all[i] = netip.MustParsePrefix(s)
	}
	return all
}

// isPublic reports whether an address is one of the internet.
func isPublic(a netip.Addr) bool {
	if a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	refused := globalSpecial
	if a.Is4() {
		refused = private
	} else if !global.Contains(a) {
		return false
	}
	for _, p := range refused {
		if p.Contains(a) {
			return false
		}
	}
	return a.IsValid()
}

var errNotPublic = errors.New("its address is not a public one")

// control refuses a connection to an address that permit refuses. It sees the
// address that is dialled, whatever a name resolved to when it was checked.
func control(permit func(netip.Addr) bool) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return errNotPublic
		}
		a, err := netip.ParseAddr(host)
		if err != nil || !permit(a) {
			return errNotPublic
		}
		return nil
	}
}

// insideNames are top-level domains that name what is inside a network.
var insideNames = map[string]bool{"localhost": true, "localdomain": true, "local": true, "internal": true, "intranet": true,
	"lan": true, "home": true, "corp": true, "private": true, "arpa": true, "consul": true, "nomad": true, "onion": true,
	"test": true, "invalid": true, "alt": true}

var (
	hostLabel = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)
	// numberLabel at the end of a host makes browsers and C libraries read the
	// whole as an IPv4 address: 127.1, 0x7f000001, 0177.0.0.1, 2130706433.
	numberLabel = regexp.MustCompile(`^([0-9]+|0x[0-9a-f]*)$`)
)

// checkURL says what is wrong with the URL of a webhook, "" for nothing.
func checkURL(text string, permit func(netip.Addr) bool) string {
	if len(text) > maxURLBytes {
		return fmt.Sprintf("must have at most %d bytes", maxURLBytes)
	}
	for _, r := range text {
		if r <= ' ' || r >= 0x7f || r == '\\' {
			return "must be a URL in ASCII, without spaces"
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || u.Hostname() == "" {
		return "must be a URL, such as https://example.com/hook"
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return "must begin with https:// or http://"
	case u.User != nil:
		return "must not hold a user or a password"
	case u.Fragment != "" || strings.Contains(text, "#"):
		return "must not have a fragment"
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return "must have a port from 1 to 65535"
		}
	}
	return checkHost(strings.ToLower(u.Hostname()), permit)
}

func checkHost(host string, permit func(netip.Addr) bool) string {
	const inside = "must name a host on the internet; private and local ones are refused"
	if a, err := netip.ParseAddr(host); err == nil {
		if !permit(a) {
			return inside
		}
		return ""
	}
	host = strings.TrimSuffix(host, ".")
	labels := strings.Split(host, ".")
	if len(host) > 253 {
		return "must name a host of at most 253 characters"
	}
	for _, l := range labels {
		if !hostLabel.MatchString(l) {
			return "must name a host of letters, digits and hyphens"
		}
	}
	last := labels[len(labels)-1]
	if len(labels) < 2 || insideNames[last] || numberLabel.MatchString(last) {
		return inside
	}
	return ""
}
