-- Quick replies, scheduled messages, broadcasts.

-- +goose Up
CREATE TABLE quick_replies (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shortcut   text        NOT NULL, -- without the slash
    title      text        NOT NULL DEFAULT '',
    text       text        NOT NULL,
    file_id    bigint      REFERENCES files ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX quick_replies_by_shortcut ON quick_replies (lower(shortcut));

CREATE TABLE scheduled_messages (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chat_id    text        NOT NULL REFERENCES chats ON DELETE CASCADE,
    text       text        NOT NULL,
    file_id    bigint      REFERENCES files ON DELETE SET NULL,
    with_file  boolean     NOT NULL DEFAULT false, -- it is not sent without its file
    due_at     timestamptz NOT NULL,
    status     text        NOT NULL DEFAULT 'scheduled' CHECK (status IN ('scheduled', 'sent', 'cancelled', 'failed')),
    failure    text        NOT NULL DEFAULT '',
    message_id bigint      REFERENCES messages ON DELETE SET NULL, -- once it is due
    client_id  text        UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX scheduled_messages_due ON scheduled_messages (due_at) WHERE status = 'scheduled';
CREATE INDEX scheduled_messages_by_status ON scheduled_messages (status, due_at DESC, id DESC);
CREATE INDEX scheduled_messages_by_chat ON scheduled_messages (chat_id);

CREATE TABLE broadcasts (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text        NOT NULL,
    label_id    bigint      REFERENCES labels ON DELETE SET NULL,
    label_name  text        NOT NULL,  -- as it was; the label may be gone
    text        text        NOT NULL,  -- with variables
    file_id     bigint      REFERENCES files ON DELETE SET NULL,
    with_file   boolean     NOT NULL DEFAULT false, -- it is not sent without its file
    status      text        NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'running', 'paused', 'done', 'cancelled')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    started_at  timestamptz,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE INDEX broadcasts_running ON broadcasts (id) WHERE status = 'running';
-- One row for each contact that had the label when the broadcast started.
CREATE TABLE broadcast_recipients (
    broadcast_id bigint      NOT NULL REFERENCES broadcasts ON DELETE CASCADE,
    n            integer     NOT NULL, -- the order of sending, from 1
    contact_id   bigint      REFERENCES contacts ON DELETE SET NULL,
    name         text        NOT NULL, -- as it was
    status       text        NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'queued', 'skipped')),
    reason       text        NOT NULL DEFAULT '', -- why skipped: opted_out, no_number, …
    message_id   bigint      REFERENCES messages ON DELETE SET NULL, -- whose ack is the rest of the report
    queued_at    timestamptz,
    PRIMARY KEY (broadcast_id, n),
    UNIQUE (broadcast_id, contact_id)
);
CREATE INDEX broadcast_recipients_waiting ON broadcast_recipients (broadcast_id, n) WHERE status = 'waiting';
CREATE INDEX broadcast_recipients_by_message ON broadcast_recipients (message_id) WHERE message_id IS NOT NULL;

-- +goose Down
DROP TABLE broadcast_recipients, broadcasts, scheduled_messages, quick_replies;
