-- The audit log: every action of an admin and every one that matters for
-- security. It refers to nobody by a foreign key: it outlives accounts and
-- slices. Nothing in it is changed or removed again.

-- +goose Up
CREATE TABLE gateway.audit_log (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor_id     uuid,       -- NULL: the platform itself
    action       text        NOT NULL CHECK (action <> ''),
    subject_type text        NOT NULL,
    subject_id   text        NOT NULL,
    before       jsonb,
    after        jsonb,
    request_id   text        NOT NULL DEFAULT '',
    client_addr  text        NOT NULL DEFAULT ''
);
CREATE INDEX audit_log_actor ON gateway.audit_log (actor_id, id);
CREATE INDEX audit_log_subject ON gateway.audit_log (subject_type, subject_id, id);
CREATE INDEX audit_log_action ON gateway.audit_log (action, id);
CREATE INDEX audit_log_at ON gateway.audit_log (at);

-- +goose StatementBegin
CREATE FUNCTION gateway.refuse_change_of_audit_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is only added to' USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd
CREATE TRIGGER audit_log_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON gateway.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.refuse_change_of_audit_log();
-- Also for who plays a replica (session_replication_role).
ALTER TABLE gateway.audit_log ENABLE ALWAYS TRIGGER audit_log_only_added_to;

GRANT SELECT, INSERT ON gateway.audit_log TO gateway;

-- +goose Down
DROP TABLE gateway.audit_log;
DROP FUNCTION gateway.refuse_change_of_audit_log;
