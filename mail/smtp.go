package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"

	gomail "github.com/wneessen/go-mail"

	"ipnoelp.io/platform"
)

// TLS is how the connection to the server is secured.
type TLS string

const (
	StartTLS TLS = "starttls" // begins in clear and must change, usually port 587
	Implicit TLS = "implicit" // from the first byte, usually port 465
	NoTLS    TLS = "none"     // for a server on the same machine
)

// dialTimeout is for the connection and for each step of the conversation.
const dialTimeout = 10 * time.Second

// noSuchAddress has the codes of RFC 3463 and 7505 that blame the recipient's address for
// good: mailbox, system, syntax, moved, no mail for the domain.
var noSuchAddress = []string{"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"}

// SMTP sends by a mail server. Fields without a remark are required.
type SMTP struct {
	Host     string
	Port     int
	TLS      TLS
	From     string      // "Name <address>" or an address
	Username string      // none: no authentication
	Password string      // goes with Username
	Config   *tls.Config // for tests; nil: the system's certificates
}

// Send hands the mail over to the server. Returns an ErrInvalid if the server says that
// there is no such address; what else it refuses may be the fault of either server.
func (s *SMTP) Send(ctx context.Context, m platform.Mail) error {
	msg, err := compose(s.From, m, domainOf(s.From))
	if err != nil {
		return fmt.Errorf("mail %d: %w", m.ID, err)
	}
	client, err := gomail.NewClient(s.Host, s.options()...)
	if err != nil {
		return fmt.Errorf("mail %d: %w", m.ID, err)
	}
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		var failed *gomail.SendError
		if errors.As(err, &failed) && failed.Reason == gomail.ErrSMTPRcptTo && slices.Contains(noSuchAddress, failed.EnhancedStatusCode()) {
			err = platform.Errorf(platform.ErrInvalid, "There is no such address").WithCause(err)
		}
		return fmt.Errorf("mail %d: %w", m.ID, err)
	}
	return nil
}

func (s *SMTP) options() []gomail.Option {
	o := []gomail.Option{gomail.WithPort(s.Port), gomail.WithTimeout(dialTimeout)}
	if d := domainOf(s.From); d != "" {
		o = append(o, gomail.WithHELO(d))
	}
	switch s.TLS {
	case Implicit:
		o = append(o, gomail.WithSSL())
	case NoTLS:
		o = append(o, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		o = append(o, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.Config != nil {
		o = append(o, gomail.WithTLSConfig(s.Config))
	}
	if s.Username != "" {
		o = append(o, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(s.Username), gomail.WithPassword(s.Password))
	}
	return o
}
