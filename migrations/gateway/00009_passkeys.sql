-- Passkeys (WebAuthn): keys that users log in with. The kinds of mails about them
-- came with the migration before.

-- +goose Up
-- What authenticators know a user by: random, and the same for all their passkeys.
CREATE TABLE gateway.passkey_handles (
    user_id uuid  PRIMARY KEY REFERENCES gateway.users ON DELETE CASCADE,
    handle  bytea NOT NULL CONSTRAINT passkey_handles_handle_key UNIQUE CHECK (length(handle) = 32)
);
CREATE TABLE gateway.passkeys (
    id            uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id       uuid        NOT NULL REFERENCES gateway.passkey_handles ON DELETE CASCADE,
    credential_id bytea       NOT NULL CONSTRAINT passkeys_credential_id_key UNIQUE CHECK (length(credential_id) BETWEEN 1 AND 1023),
    public_key    bytea       NOT NULL, -- COSE
    sign_count    bigint      NOT NULL CHECK (sign_count >= 0),
    transports    text[]      NOT NULL,
    syncable      boolean     NOT NULL,
    synced        boolean     NOT NULL,
    name          text        NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    last_used_at  timestamptz
);
CREATE INDEX passkeys_user_id ON gateway.passkeys (user_id);

-- Challenges are in a cookie; here is which were answered, for as long as the
-- cookie is good.
CREATE TABLE gateway.used_challenges (
    challenge_hash bytea       PRIMARY KEY CHECK (length(challenge_hash) = 32),
    expires_at     timestamptz NOT NULL
);
CREATE INDEX used_challenges_expires_at ON gateway.used_challenges (expires_at);

GRANT SELECT, INSERT ON gateway.passkey_handles TO gateway;
GRANT SELECT, INSERT, DELETE ON gateway.passkeys, gateway.used_challenges TO gateway;
GRANT UPDATE (sign_count, synced, name, last_used_at) ON gateway.passkeys TO gateway;

-- +goose Down
DELETE FROM gateway.mails WHERE kind IN ('passkey_added', 'passkey_removed');
DROP TABLE gateway.used_challenges, gateway.passkeys, gateway.passkey_handles;
