-- What admins do: block and delete accounts, and change settings.

-- +goose Up
-- A blocked user's sessions stay until the account is unblocked: they tell who
-- is blocked, and serve nothing else.
ALTER TABLE gateway.users
    ADD blocked_at   timestamptz,
    ADD block_reason text NOT NULL DEFAULT '';
CREATE INDEX users_created_at ON gateway.users (created_at, id);

-- A session that an admin has in place of a user.
ALTER TABLE gateway.sessions ADD impersonator_id uuid REFERENCES gateway.users ON DELETE CASCADE;
CREATE INDEX sessions_impersonator_id ON gateway.sessions (impersonator_id) WHERE impersonator_id IS NOT NULL;

-- The pool's history outlives the accounts.
ALTER TABLE gateway.claims
    ALTER user_id DROP NOT NULL,
    DROP CONSTRAINT claims_user_id_fkey,
    ADD CONSTRAINT claims_user_id_fkey FOREIGN KEY (user_id) REFERENCES gateway.users ON DELETE SET NULL;
CREATE INDEX claims_user_id ON gateway.claims (user_id);

-- Payload of gateway_users: "<id> <created, active, blocked or deleted>".
-- +goose StatementBegin
CREATE FUNCTION gateway.notify_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('gateway_users', CASE TG_OP
        WHEN 'DELETE' THEN OLD.id || ' deleted'
        WHEN 'INSERT' THEN NEW.id || ' created'
        ELSE NEW.id || CASE WHEN NEW.blocked_at IS NULL THEN ' active' ELSE ' blocked' END END);
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER users_notify AFTER INSERT OR DELETE OR UPDATE OF email, role, blocked_at ON gateway.users
    FOR EACH ROW EXECUTE FUNCTION gateway.notify_user();

-- What admins change while everything runs: one row.
CREATE TABLE gateway.settings (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    warm_target integer CHECK (warm_target BETWEEN 1 AND 1000), -- NULL: as the programs are configured
    node_cost   bigint  NOT NULL DEFAULT 0 CHECK (node_cost >= 0), -- a month, in hundredths of the currency
    price       bigint  NOT NULL DEFAULT 0 CHECK (price >= 0),     -- likewise
    currency    text    NOT NULL DEFAULT 'EUR'
);
INSERT INTO gateway.settings DEFAULT VALUES;

-- Payload of gateway_settings: none.
-- +goose StatementBegin
CREATE FUNCTION gateway.notify_settings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('gateway_settings', '');
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER settings_notify AFTER UPDATE ON gateway.settings
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.notify_settings();

GRANT SELECT, UPDATE ON gateway.settings TO gateway;
GRANT SELECT ON gateway.settings TO provisioner;

-- +goose Down
DROP TABLE gateway.settings;
DROP FUNCTION gateway.notify_settings;
DROP TRIGGER users_notify ON gateway.users;
DROP FUNCTION gateway.notify_user;
DROP INDEX gateway.claims_user_id;
DELETE FROM gateway.claims WHERE user_id IS NULL;
ALTER TABLE gateway.claims
    ALTER user_id SET NOT NULL,
    DROP CONSTRAINT claims_user_id_fkey,
    ADD CONSTRAINT claims_user_id_fkey FOREIGN KEY (user_id) REFERENCES gateway.users ON DELETE CASCADE;
DROP INDEX gateway.users_created_at;
DELETE FROM gateway.sessions WHERE impersonator_id IS NOT NULL;
ALTER TABLE gateway.sessions DROP impersonator_id;
ALTER TABLE gateway.users DROP blocked_at, DROP block_reason;
