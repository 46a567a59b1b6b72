-- Accounts that are deleted as their users ask: after a time of grace, in which
-- they may change their mind.

-- +goose Up
ALTER TABLE gateway.users
    ADD deletion_requested_at timestamptz,
    ADD deletion_at           timestamptz,
    ADD CONSTRAINT users_deletion CHECK ((deletion_at IS NULL) = (deletion_requested_at IS NULL));
CREATE INDEX users_deletion_at ON gateway.users (deletion_at) WHERE deletion_at IS NOT NULL;

ALTER TABLE gateway.settings
    ADD deletion_grace_days integer NOT NULL DEFAULT 14 CHECK (deletion_grace_days BETWEEN 1 AND 90);

ALTER TABLE gateway.mails
    DROP CONSTRAINT mails_kind_check,
    ADD CONSTRAINT mails_kind_check CHECK (kind IN
        ('verify_email', 'change_email', 'reset_password', 'email_changed', 'password_changed',
         'passkey_added', 'passkey_removed', 'deletion_requested', 'deletion_cancelled', 'account_deleted'));

-- Sessions that gateways remember tell of the deletion.
DROP TRIGGER users_notify ON gateway.users;
CREATE TRIGGER users_notify AFTER INSERT OR DELETE OR UPDATE OF email, role, blocked_at, deletion_at ON gateway.users
    FOR EACH ROW EXECUTE FUNCTION gateway.notify_user();

-- +goose Down
DROP TRIGGER users_notify ON gateway.users;
CREATE TRIGGER users_notify AFTER INSERT OR DELETE OR UPDATE OF email, role, blocked_at ON gateway.users
    FOR EACH ROW EXECUTE FUNCTION gateway.notify_user();
DELETE FROM gateway.mails WHERE kind IN ('deletion_requested', 'deletion_cancelled', 'account_deleted');
ALTER TABLE gateway.mails
    DROP CONSTRAINT mails_kind_check,
    ADD CONSTRAINT mails_kind_check CHECK (kind IN
        ('verify_email', 'change_email', 'reset_password', 'email_changed', 'password_changed',
         'passkey_added', 'passkey_removed'));
ALTER TABLE gateway.settings DROP deletion_grace_days;
ALTER TABLE gateway.users DROP deletion_at, DROP deletion_requested_at;
