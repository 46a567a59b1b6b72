-- The gateway schema: accounts, sessions, slices and the queue for them.
-- Run by goose as the owner of the schema; the roles gateway and provisioner
-- (made when the server is prepared) get only what each needs.

-- +goose Up
CREATE TABLE gateway.users (
    id            uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    email         text        NOT NULL CONSTRAINT users_email_key UNIQUE CHECK (email = lower(email)),
    password_hash text        NOT NULL,
    role          text        NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
    created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE gateway.sessions (
    token_hash bytea       PRIMARY KEY CHECK (length(token_hash) = 32),
    user_id    uuid        NOT NULL REFERENCES gateway.users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_user_id ON gateway.sessions (user_id);
CREATE INDEX sessions_expires_at ON gateway.sessions (expires_at);

-- A generation is one definition of a slice (image, job file, schema). The
-- leading provisioner marks the one it provisions from as current; only warm
-- slices of the current one are claimed.
CREATE TABLE gateway.generations (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint text        NOT NULL UNIQUE,
    is_current  boolean     NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX generations_current ON gateway.generations (is_current) WHERE is_current;

CREATE TABLE gateway.slices (
    number           integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state            text        NOT NULL DEFAULT 'requested' CHECK (state IN
                         ('requested', 'provisioning', 'warm', 'assigned', 'suspended', 'held', 'failed', 'retiring', 'gone')),
    generation       bigint      NOT NULL REFERENCES gateway.generations,
    user_id          uuid        CONSTRAINT slices_user_id_key UNIQUE REFERENCES gateway.users,
    failure          text        NOT NULL DEFAULT '',
    requested_at     timestamptz NOT NULL DEFAULT now(),
    warm_at          timestamptz,
    assigned_at      timestamptz,
    state_changed_at timestamptz NOT NULL DEFAULT now(),
    CHECK (state NOT IN ('requested', 'provisioning', 'warm', 'failed') OR user_id IS NULL),
    CHECK (state NOT IN ('assigned', 'suspended') OR user_id IS NOT NULL)
);
CREATE INDEX slices_claimable ON gateway.slices (number) WHERE state = 'warm';
CREATE INDEX slices_live ON gateway.slices (state) WHERE state <> 'gone';

-- Users who wait for a slice, served in the order of id.
CREATE TABLE gateway.queue (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id   uuid        NOT NULL UNIQUE REFERENCES gateway.users ON DELETE CASCADE,
    queued_at timestamptz NOT NULL DEFAULT now()
);

-- One row per claim, for the pool's history. Without a queue_id a warm slice was
-- there at sign-up; otherwise it is the place that was served, and claimed_at -
-- requested_at the wait.
CREATE TABLE gateway.claims (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id      uuid        NOT NULL REFERENCES gateway.users ON DELETE CASCADE,
    slice_number integer     NOT NULL REFERENCES gateway.slices,
    queue_id     bigint      UNIQUE,
    requested_at timestamptz NOT NULL,
    claimed_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX claims_claimed_at ON gateway.claims (claimed_at);

-- Whoever changes a slice, the queue or a session, those who watch are woken.
-- Payloads: gateway_slices "<number> <state> <id of the user it serves, or
-- served until this change, or empty>", gateway_queue "", gateway_sessions
-- "<token hash in hex> <user id>".
-- +goose StatementBegin
CREATE FUNCTION gateway.notify_slice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('gateway_slices', concat_ws(' ', NEW.number, NEW.state, coalesce(NEW.user_id::text, OLD.user_id::text, '')));
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER slices_notify AFTER INSERT OR UPDATE OF state, user_id, generation ON gateway.slices
    FOR EACH ROW EXECUTE FUNCTION gateway.notify_slice();

-- For each row, not statement: a sign-up that finds a slice inserts none, and
-- equal notifications of one transaction are sent once.
-- +goose StatementBegin
CREATE FUNCTION gateway.notify_queue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('gateway_queue', '');
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER queue_notify AFTER INSERT OR DELETE ON gateway.queue
    FOR EACH ROW EXECUTE FUNCTION gateway.notify_queue();

-- +goose StatementBegin
CREATE FUNCTION gateway.notify_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('gateway_sessions', encode(OLD.token_hash, 'hex') || ' ' || OLD.user_id);
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER sessions_notify AFTER DELETE ON gateway.sessions
    FOR EACH ROW EXECUTE FUNCTION gateway.notify_session();

GRANT USAGE ON SCHEMA gateway TO gateway, provisioner;

GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.users, gateway.sessions, gateway.queue TO gateway;
GRANT SELECT ON gateway.generations, gateway.slices, gateway.claims TO gateway;
GRANT INSERT ON gateway.claims TO gateway;
GRANT UPDATE (state, user_id, assigned_at, state_changed_at) ON gateway.slices TO gateway;

GRANT SELECT, INSERT, UPDATE ON gateway.generations, gateway.slices TO provisioner;
GRANT SELECT ON gateway.queue TO provisioner;

-- +goose Down
DROP TABLE gateway.claims, gateway.queue, gateway.slices, gateway.generations, gateway.sessions, gateway.users;
DROP FUNCTION gateway.notify_slice, gateway.notify_queue, gateway.notify_session;
