-- The database of one slice, owned by its role wa_slice_N.

-- +goose Up
CREATE TABLE chats (
    id              text        PRIMARY KEY, -- WhatsApp id, such as 4915112345678@c.us
    name            text        NOT NULL DEFAULT '',
    phone           text,                    -- null for groups and for contacts known by LID only
    is_group        boolean     NOT NULL DEFAULT false,
    unread          integer     NOT NULL DEFAULT 0 CHECK (unread >= 0),
    last_message_at timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX chats_by_activity ON chats (coalesce(last_message_at, '1970-01-01 00:00:00+00'::timestamptz) DESC, id DESC);

-- A message has an id of ours from the moment it is written, and WhatsApp's id
-- once WhatsApp has it. sent_at has whole seconds, as WhatsApp's times have; the
-- id orders what was said within one second.
CREATE TABLE messages (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    wa_id        text        UNIQUE,
    chat_id      text        NOT NULL REFERENCES chats,
    direction    text        NOT NULL CHECK (direction IN ('in', 'out')),
    sender_id    text        NOT NULL,
    sender_name  text        NOT NULL DEFAULT '',
    type         text        NOT NULL,
    text         text        NOT NULL DEFAULT '',
    ack          smallint    NOT NULL DEFAULT 0 CHECK (ack BETWEEN -1 AND 4),
    client_id    text        UNIQUE, -- idempotency key of an outgoing message
    sent_at      timestamptz NOT NULL,
    attempted_at timestamptz,        -- when an outgoing message was handed to WhatsApp
    created_at   timestamptz NOT NULL DEFAULT now(),
    CHECK (direction = 'out' OR wa_id IS NOT NULL)
);
CREATE INDEX messages_thread ON messages (chat_id, sent_at DESC, id DESC);
CREATE INDEX messages_outbox ON messages (id) WHERE direction = 'out' AND wa_id IS NULL;

-- +goose Down
DROP TABLE messages, chats;
