-- Sign-up by mail: its token stands for an address and for no user.

-- +goose Up
ALTER TABLE gateway.settings ADD sign_up_by_mail boolean NOT NULL DEFAULT false;

ALTER TABLE gateway.account_tokens
    ALTER user_id DROP NOT NULL,
    DROP CONSTRAINT account_tokens_purpose_check,
    ADD CONSTRAINT account_tokens_purpose_check CHECK (purpose IN ('verify_email', 'change_email', 'reset_password', 'sign_up')),
    ADD CONSTRAINT account_tokens_user CHECK ((user_id IS NULL) = (purpose = 'sign_up'));

ALTER TABLE gateway.mails
    DROP CONSTRAINT mails_kind_check,
    ADD CONSTRAINT mails_kind_check CHECK (kind IN
        ('sign_up', 'verify_email', 'change_email', 'reset_password', 'email_changed', 'password_changed',
         'passkey_added', 'passkey_removed', 'support_access',
         'deletion_requested', 'deletion_cancelled', 'account_deleted'));

-- +goose Down
DELETE FROM gateway.mails WHERE kind = 'sign_up';
ALTER TABLE gateway.mails
    DROP CONSTRAINT mails_kind_check,
    ADD CONSTRAINT mails_kind_check CHECK (kind IN
        ('verify_email', 'change_email', 'reset_password', 'email_changed', 'password_changed',
         'passkey_added', 'passkey_removed', 'support_access',
         'deletion_requested', 'deletion_cancelled', 'account_deleted'));
DELETE FROM gateway.account_tokens WHERE purpose = 'sign_up';
ALTER TABLE gateway.account_tokens
    DROP CONSTRAINT account_tokens_user,
    DROP CONSTRAINT account_tokens_purpose_check,
    ADD CONSTRAINT account_tokens_purpose_check CHECK (purpose IN ('verify_email', 'change_email', 'reset_password')),
    ALTER user_id SET NOT NULL;
ALTER TABLE gateway.settings DROP COLUMN sign_up_by_mail;
