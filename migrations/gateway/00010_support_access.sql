-- A mail tells users that an admin acts for them.

-- +goose Up
ALTER TABLE gateway.mails
    DROP CONSTRAINT mails_kind_check,
    ADD CONSTRAINT mails_kind_check CHECK (kind IN
        ('verify_email', 'change_email', 'reset_password', 'email_changed', 'password_changed',
         'passkey_added', 'passkey_removed', 'support_access',
         'deletion_requested', 'deletion_cancelled', 'account_deleted'));

-- +goose Down
DELETE FROM gateway.mails WHERE kind = 'support_access';
ALTER TABLE gateway.mails
    DROP CONSTRAINT mails_kind_check,
    ADD CONSTRAINT mails_kind_check CHECK (kind IN
        ('verify_email', 'change_email', 'reset_password', 'email_changed', 'password_changed',
         'passkey_added', 'passkey_removed', 'deletion_requested', 'deletion_cancelled', 'account_deleted'));
