package auth

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"ipnoelp.io/platform"
)

// Origins refuses what other sites make a browser send: the session cookie
// comes along with it.
type Origins struct {
	public     string // scheme://host[:port]
	scheme     string
	protection *http.CrossOriginProtection
}

// NewOrigins returns the check for an app at publicURL.
func NewOrigins(publicURL *url.URL) (*Origins, error) {
	o := &Origins{public: publicURL.Scheme + "://" + publicURL.Host, scheme: publicURL.Scheme, protection: http.NewCrossOriginProtection()}
	if err := o.protection.AddTrustedOrigin(o.public); err != nil {
		return nil, err
	}
	return o, nil
}

// Check returns ErrForbidden for a request from another origin that could
// change something.
func (o *Origins) Check(r *http.Request) error {
	err := o.protection.Check(r)
	// Browsers that send no Sec-Fetch-Site are told apart by the host alone: what
	// came by plain HTTP may be from anybody on the way.
	if origin := r.Header.Get("Origin"); err == nil && origin != "" && !safe(r.Method) && !strings.HasPrefix(origin, o.scheme+"://") {
		err = errOtherScheme
	}
	if err != nil {
		return platform.Errorf(platform.ErrForbidden, "Requests from other sites are not allowed.").WithCause(err)
	}
	return nil
}

var errOtherScheme = errors.New("the origin has another scheme")

func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// CheckWebSocket returns ErrForbidden for a WebSocket handshake from another
// origin; browsers let every site open one, cookies included. Programs that
// send no Origin are not browsers.
func (o *Origins) CheckWebSocket(r *http.Request) error {
	origin := r.Header.Get("Origin")
	if origin == "" || origin == o.public {
		return nil
	}
	if u, err := url.Parse(origin); err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host) && u.Scheme == o.scheme {
		return nil
	}
	return platform.Errorf(platform.ErrForbidden, "Connections from other sites are not allowed.")
}
