-- When a user was last there, which outlives the session.

-- +goose Up
ALTER TABLE gateway.users ADD last_seen_at timestamptz; -- null: never
UPDATE gateway.users u SET last_seen_at = greatest(
    (SELECT max(last_seen_at) FROM gateway.sessions WHERE user_id = u.id AND impersonator_id IS NULL),
    (SELECT max(last_used_at) FROM gateway.api_tokens WHERE user_id = u.id));

-- +goose Down
ALTER TABLE gateway.users DROP last_seen_at;
