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
	case platform.MailSignUp:
		subject, text = signUp(m, publicURL, link("/confirm-signup"))
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
	case platform.MailDeletionRequested:
		subject = "Your account is going to be deleted"
		text = fmt.Sprintf(`You asked us to delete your account at %s. On %s
it is deleted with everything in your workspace, and nobody can bring it back.

If you change your mind before that, log in and cancel the deletion:

%s

Your other devices were logged out, and your API tokens have ended. If it was
not you, cancel the deletion and change your password at once.
`, app, m.DeletionAt.UTC().Format("2 January 2006, 15:04 UTC"), publicURL.JoinPath("/account"))
	case platform.MailDeletionCancelled:
		subject = "Your account stays"
		text = fmt.Sprintf(`The deletion of your account at %s was cancelled. The account and your
workspace are as they were; API tokens have to be made anew.

If it was not you, and not support at your request, log in and change your
password:

%s
`, app, publicURL.JoinPath("/account"))
	case platform.MailAccountDeleted:
		subject = "Your account was deleted"
		text = fmt.Sprintf(`Your account at %s was deleted, as you asked. Your workspace is being
removed with everything in it.

This is our last mail to you.
`, app)
	case platform.MailPasskeyAdded:
		subject = "A passkey was added"
		text = fmt.Sprintf(`A passkey was added to your account at %s: whoever has it can log in.

If it was not you, log in, remove it and change your password at once:

%s
`, app, publicURL.JoinPath("/account"))
	case platform.MailSupportAccess:
		subject = "Support looks at your account"
		text = fmt.Sprintf(`Somebody of the support of %s sees your account as you do, for half an hour at most.
They do not learn your password, and can change neither it nor your address.

If you did not ask for help, reset your password, which ends it at once:

%s

and write to support.
`, app, publicURL.JoinPath("/forgot-password"))
	case platform.MailPasskeyRemoved:
		subject = "A passkey was removed"
		text = fmt.Sprintf(`A passkey was removed from your account at %s: nobody can log in with it any more.

If it was not you, write to support at once.
`, app)
	}
	return platform.Mail{ID: m.ID, To: m.Recipient, Subject: subject, Text: strings.ReplaceAll(text, "\r", "")}
}

func signUp(m platform.QueuedMail, publicURL *url.URL, link string) (subject, text string) {
	if m.HasAccount {
		return "You have an account already", fmt.Sprintf(`Somebody wants to sign up at %s with this e-mail address, which has an account
already.

If it was you, log in:

%s

or choose a new password:

%s

If it was not you, you need not do anything.
`, publicURL.Host, publicURL.JoinPath("/login"), publicURL.JoinPath("/forgot-password"))
	}
	return "Go on with your sign-up", fmt.Sprintf(`Somebody wants to sign up at %s with this e-mail address.

If it was you, choose a password, and your workspace is there:

%s

The link works once, for 24 hours. If it was not you, you need not do anything.
`, publicURL.Host, link)
}
