package main

import (
	"log/slog"
	"net"
	netmail "net/mail"
	"path/filepath"
	"strconv"

	"ipnoelp.io/platform/gateway/mailing"
	"ipnoelp.io/platform/mail"
)

// MailConfig says how mails leave: by SMTP_ADDR, and sign-ups begin with one then, or
// into MAIL_OUTBOX. With neither, none is sent.
type MailConfig struct {
	From     string   `env:"MAIL_FROM" envDefault:"CRM <no-reply@localhost.localdomain>"`
	Outbox   string   `env:"MAIL_OUTBOX"`                    // demo: "log", or a folder; whoever reads it can take over accounts
	SMTPAddr string   `env:"SMTP_ADDR"`                      // host:port
	SMTPTLS  mail.TLS `env:"SMTP_TLS" envDefault:"starttls"` // starttls, implicit or none
	Username string   `env:"SMTP_USERNAME"`                  // with SMTP_PASSWORD, if the server asks
	Password string   `env:"SMTP_PASSWORD"`                  // secret
}

// outboxLog as MAIL_OUTBOX writes mails into the log.
const outboxLog = "log"

func (c *MailConfig) validate(fault func(key, format string, args ...any)) {
	if _, err := netmail.ParseAddress(c.From); err != nil {
		fault("MAIL_FROM", "%q is not \"Name <address>\"", c.From)
	}
	if c.Outbox != "" && c.Outbox != outboxLog && !filepath.IsAbs(c.Outbox) {
		fault("MAIL_OUTBOX", "%q is neither %q nor an absolute path", c.Outbox, outboxLog)
	}
	if c.Outbox != "" && c.SMTPAddr != "" {
		fault("MAIL_OUTBOX", "MAIL_OUTBOX and SMTP_ADDR exclude each other")
	}
	if c.SMTPAddr != "" {
		if host, port, err := net.SplitHostPort(c.SMTPAddr); err != nil || host == "" {
			fault("SMTP_ADDR", "%q is not host:port", c.SMTPAddr)
		} else if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			fault("SMTP_ADDR", "%q has no port from 1 to 65535", c.SMTPAddr)
		}
	}
	switch c.SMTPTLS {
	case mail.StartTLS, mail.Implicit:
	case mail.NoTLS:
		if c.Password != "" {
			fault("SMTP_TLS", "none would send SMTP_PASSWORD in clear")
		}
	default:
		fault("SMTP_TLS", "%q is not starttls, implicit or none", c.SMTPTLS)
	}
	if (c.Username == "") != (c.Password == "") {
		fault("SMTP_USERNAME", "SMTP_USERNAME and SMTP_PASSWORD go together")
	}
}

// mailer returns nil where no mail is to be sent.
func (c *MailConfig) mailer(log *slog.Logger) mailing.Mailer {
	switch {
	case c.SMTPAddr != "":
		host, port, _ := net.SplitHostPort(c.SMTPAddr)
		n, _ := strconv.Atoi(port)
		return &mail.SMTP{Host: host, Port: n, TLS: c.SMTPTLS, From: c.From, Username: c.Username, Password: c.Password}
	case c.Outbox == outboxLog:
		return mail.Log{Log: log}
	case c.Outbox != "":
		return mail.Files{Dir: c.Outbox, From: c.From}
	}
	return nil
}
