package mailing

import (
	"fmt"
	"net/url"
	"strings"

	"ipnoelp.io/platform"
)

// write returns the text of a mail. The token is in the fragment of its link:
// browsers send that to no server, and no log has it.
func write(m platform.QueuedMail, publicURL *url.URL, token string) platform.Mail {
	link := func(path string) string { return publicURL.JoinPath(path).String() + "#token=" + token }
	app := publicURL.Host
	var subject, text string
	switch m.Kind {
	case platform.MailVerifyEmail:
		subject = "Confirm your e-mail address"
		text = fmt.Sprintf(`Welcome to %s.

Confirm that this e-mail address is yours:

%s

The link works once, for 24 hours. If you did not sign up, you need not do
anything.
`, app, link("/verify-email"))
	case platform.MailChangeEmail:
		subject = "Confirm your new e-mail address"
		text = fmt.Sprintf(`Somebody asked to use this e-mail address for an account at %s.

If it was you, confirm the change:

%s

The link works once, for 24 hours. If it was not you, you need not do anything.
`, app, link("/verify-email"))
	case platform.MailResetPassword:
		subject = "Choose a new password"
		text = fmt.Sprintf(`Somebody asked to reset the password of your account at %s.

If it was you, choose a new one:

%s

The link works once, for one hour. All devices are logged out then. If it was
not you, you need not do anything: your password stays as it is.
`, app, link("/reset-password"))
	case platform.MailEmailChanged:
		subject = "Your e-mail address was changed"
		text = fmt.Sprintf(`The e-mail address of your account at %s was changed from this one to another.

If it was not you, somebody else has your password. Write to support at once.
`, app)
	case platform.MailPasswordChanged:
		subject = "Your password was changed"
		text = fmt.Sprintf(`The password of your account at %s was changed, and the other devices were logged
out.

If it was not you, reset it at once:

%s
`, app, publicURL.JoinPath("/forgot-password"))
	}
	return platform.Mail{ID: m.ID, To: m.Recipient, Subject: subject, Text: strings.ReplaceAll(text, "\r", "")}
}
