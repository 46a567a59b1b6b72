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
CREATE INDEX chats_by_activity ON chats (last_message_at DESC NULLS LAST, id);

CREATE TABLE messages (
    id          text        PRIMARY KEY, -- WhatsApp id
    chat_id     text        NOT NULL REFERENCES chats,
    direction   text        NOT NULL CHECK (direction IN ('in', 'out')),
    sender_id   text        NOT NULL,
    sender_name text        NOT NULL DEFAULT '',
    type        text        NOT NULL,
    text        text        NOT NULL DEFAULT '',
    ack         smallint    NOT NULL DEFAULT 0 CHECK (ack BETWEEN -1 AND 4),
    client_id   text        UNIQUE,      -- idempotency key of an outgoing message
    sent_at     timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX messages_thread ON messages (chat_id, sent_at DESC, id DESC);

-- +goose Down
DROP TABLE messages, chats;
