// Package mail delivers mails: by SMTP, or, where nobody is to get any, into an
// outbox.
package mail

import (
	"fmt"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"ipnoelp.io/platform"
)

// compose returns the message as it goes out.
func compose(from string, m platform.Mail, domain string) (*gomail.Msg, error) {
	msg := gomail.NewMsg()
	if err := msg.From(from); err != nil {
		return nil, fmt.Errorf("sender: %w", err)
	}
	if err := msg.To(m.To); err != nil {
		return nil, fmt.Errorf("recipient: %w", err)
	}
	msg.Subject(m.Subject)
	msg.SetDate()
	// One id for all attempts: a mailbox may drop what comes twice.
	msg.SetMessageIDWithValue(fmt.Sprintf("mail-%d@%s", m.ID, domain))
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // no out-of-office answers
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	return msg, nil
}

func domainOf(address string) string {
	_, domain, _ := strings.Cut(strings.TrimSuffix(address, ">"), "@")
	return domain
}
