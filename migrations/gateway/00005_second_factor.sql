-- Second factors: one-time codes from an authenticator app, and recovery codes.

-- +goose Up
-- Secrets are encrypted with a key that the database does not have.
CREATE TABLE gateway.second_factors (
    user_id   uuid   PRIMARY KEY REFERENCES gateway.users ON DELETE CASCADE,
    secret    bytea, -- null until a code of it was given
    pending   bytea, -- shown to the user, not in force yet
    last_step bigint NOT NULL DEFAULT 0 -- time step of the last code: each is good once
);
CREATE TABLE gateway.recovery_codes (
    user_id   uuid  NOT NULL REFERENCES gateway.users ON DELETE CASCADE,
    code_hash bytea NOT NULL CHECK (length(code_hash) = 32),
    PRIMARY KEY (user_id, code_hash)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.second_factors, gateway.recovery_codes TO gateway;

-- +goose Down
DROP TABLE gateway.recovery_codes, gateway.second_factors;
