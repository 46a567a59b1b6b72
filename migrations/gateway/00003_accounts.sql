-- Accounts: verified addresses, mails and the tokens in them; sessions that
-- users see, that end when they are idle, and that tell when the user last
-- proved who they are.

-- +goose Up
ALTER TABLE gateway.users ADD COLUMN email_verified_at timestamptz;

ALTER TABLE gateway.sessions
    ADD COLUMN id               uuid        NOT NULL DEFAULT gen_random_uuid() CONSTRAINT sessions_id_key UNIQUE,
    ADD COLUMN authenticated_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN last_seen_at     timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN user_agent       text        NOT NULL DEFAULT '',
    ADD COLUMN client_addr      text        NOT NULL DEFAULT '';
UPDATE gateway.sessions SET authenticated_at = created_at;

-- A token is in a mail's link; here is only its hash. It is deleted when it is
-- used.
CREATE TABLE gateway.account_tokens (
    token_hash bytea       PRIMARY KEY CHECK (length(token_hash) = 32),
    user_id    uuid        NOT NULL REFERENCES gateway.users ON DELETE CASCADE,
    purpose    text        NOT NULL CHECK (purpose IN ('verify_email', 'change_email', 'reset_password')),
    email      text        NOT NULL, -- the address that it was sent to
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX account_tokens_user_id ON gateway.account_tokens (user_id, purpose);
CREATE INDEX account_tokens_expires_at ON gateway.account_tokens (expires_at);

-- What is to be sent. The text is made when it is sent, and with it the token:
-- it is nowhere in clear. A reset is asked for by address (user_id is null),
-- whether or not there is such an account: asking costs the same.
CREATE TABLE gateway.mails (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind            text        NOT NULL CHECK (kind IN
                        ('verify_email', 'change_email', 'reset_password', 'email_changed', 'password_changed')),
    user_id         uuid        REFERENCES gateway.users ON DELETE CASCADE,
    recipient       text        NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    attempts        integer     NOT NULL DEFAULT 0,
    next_attempt_at timestamptz DEFAULT now(), -- null once it is sent or given up
    sent_at         timestamptz,
    failure         text        NOT NULL DEFAULT ''
);
CREATE INDEX mails_due ON gateway.mails (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX mails_sent ON gateway.mails (recipient, kind, sent_at);
CREATE INDEX mails_user_id ON gateway.mails (user_id);
CREATE INDEX mails_created_at ON gateway.mails (created_at);

-- A session that gets another token is over under the old one. Payload as in
-- notify_session.
CREATE TRIGGER sessions_notify_rotation AFTER UPDATE OF token_hash ON gateway.sessions
    FOR EACH ROW WHEN (OLD.token_hash <> NEW.token_hash) EXECUTE FUNCTION gateway.notify_session();

GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.account_tokens, gateway.mails TO gateway;

-- +goose Down
DROP TRIGGER sessions_notify_rotation ON gateway.sessions;
DROP TABLE gateway.mails, gateway.account_tokens;
ALTER TABLE gateway.sessions DROP COLUMN id, DROP COLUMN authenticated_at, DROP COLUMN last_seen_at,
    DROP COLUMN user_agent, DROP COLUMN client_addr;
ALTER TABLE gateway.users DROP COLUMN email_verified_at;
