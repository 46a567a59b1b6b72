-- Tokens with which users' own programs use their CRM.

-- +goose Up
CREATE TABLE gateway.api_tokens (
    id           uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id      uuid        NOT NULL REFERENCES gateway.users ON DELETE CASCADE,
    token_hash   bytea       NOT NULL CONSTRAINT api_tokens_hash_key UNIQUE CHECK (length(token_hash) = 32),
    name         text        NOT NULL,
    scope        text        NOT NULL CHECK (scope IN ('read', 'full')),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    last_used_at timestamptz
);
CREATE INDEX api_tokens_user_id ON gateway.api_tokens (user_id);
CREATE INDEX api_tokens_expires_at ON gateway.api_tokens (expires_at);

-- Gateways remember tokens like sessions.
CREATE TRIGGER api_tokens_notify AFTER DELETE ON gateway.api_tokens
    FOR EACH ROW EXECUTE FUNCTION gateway.notify_session();

GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.api_tokens TO gateway;

-- +goose Down
DROP TABLE gateway.api_tokens;
