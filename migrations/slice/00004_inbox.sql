-- The inbox as a place of work: status of conversations, files, quotes,
-- reactions, edits, search; and an outbox that tries again.

-- +goose Up
ALTER TABLE chats
    ADD COLUMN status            text        NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'pending', 'closed', 'snoozed')),
    ADD COLUMN status_changed_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN snoozed_until     timestamptz CHECK (snoozed_until IS NOT NULL OR status <> 'snoozed'),
    ADD COLUMN last_in_at        timestamptz, -- of the latest incoming message
    ADD COLUMN last_out_at       timestamptz;
CREATE INDEX chats_snoozed ON chats (snoozed_until) WHERE status = 'snoozed';
CREATE INDEX chats_by_status ON chats (status, coalesce(last_message_at, '1970-01-01 00:00:00+00'::timestamptz) DESC, id DESC);
CREATE INDEX chats_unread ON chats (coalesce(last_message_at, '1970-01-01 00:00:00+00'::timestamptz) DESC, id DESC) WHERE unread > 0;
CREATE INDEX chats_search ON chats USING gin ((name || ' ' || coalesce(phone, '')) gin_trgm_ops);

ALTER TABLE messages
    ADD COLUMN quoted_wa_id    text,
    ADD COLUMN media           jsonb,                -- null for what has no file; see whatsapp.Media
    ADD COLUMN file_id         bigint REFERENCES files ON DELETE SET NULL, -- the file, when it is here
    ADD COLUMN edited_at       timestamptz,
    ADD COLUMN deleted_at      timestamptz,          -- deleted for everyone
    ADD COLUMN source          text     NOT NULL DEFAULT 'user' CHECK (source IN ('user', 'scheduled', 'broadcast')), -- of an outgoing message
    -- Where an outgoing message stands: it waits; or it has the WhatsApp id that
    -- it was or is to be sent under; or, null, it was sent or has failed.
    ADD COLUMN outbox          text     CHECK (outbox IN ('waiting', 'sending')),
    ADD COLUMN priority        smallint NOT NULL DEFAULT 0, -- 0 first: replies; scheduled 1, broadcasts 2
    ADD COLUMN attempts        smallint NOT NULL DEFAULT 0,
    ADD COLUMN next_attempt_at timestamptz,          -- null: at once
    ADD COLUMN expires_at      timestamptz,          -- then it has failed
    ADD COLUMN failure         text     NOT NULL DEFAULT '', -- why it was not sent, for the user
    ADD COLUMN search          tsvector GENERATED ALWAYS AS (to_tsvector('simple', text)) STORED;
UPDATE messages SET ack = -1, failure = 'The program was replaced before this message was sent.'
    WHERE direction = 'out' AND wa_id IS NULL AND ack = 0;
UPDATE chats SET
    last_in_at  = (SELECT max(sent_at) FROM messages m WHERE m.chat_id = chats.id AND direction = 'in'),
    last_out_at = (SELECT max(sent_at) FROM messages m WHERE m.chat_id = chats.id AND direction = 'out');
ALTER TABLE messages DROP COLUMN attempted_at;
DROP INDEX messages_outbox;
CREATE INDEX messages_outbox ON messages (priority, id) WHERE outbox IS NOT NULL;
CREATE INDEX messages_search ON messages USING gin (search);
CREATE INDEX messages_by_time ON messages (sent_at DESC, id DESC);
CREATE INDEX messages_by_file ON messages (file_id) WHERE file_id IS NOT NULL;
CREATE INDEX chats_waiting ON chats (last_in_at, id) WHERE last_in_at IS NOT NULL AND (last_out_at IS NULL OR last_in_at > last_out_at);

CREATE TABLE reactions (
    message_id bigint      NOT NULL REFERENCES messages ON DELETE CASCADE,
    sender_id  text        NOT NULL,
    emoji      text        NOT NULL,
    reacted_at timestamptz NOT NULL,
    PRIMARY KEY (message_id, sender_id)
);

-- Every change of the WhatsApp session's state.
CREATE TABLE whatsapp_states (
    id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL,
    state  text        NOT NULL,
    was    text        NOT NULL,
    reason text        NOT NULL DEFAULT ''
);

-- What the user set; a missing key has its default.
CREATE TABLE settings (
    key        text        PRIMARY KEY,
    value      jsonb       NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- +goose Down
DROP TABLE settings, whatsapp_states, reactions;
DROP INDEX messages_by_time;
ALTER TABLE messages DROP COLUMN quoted_wa_id, DROP COLUMN media, DROP COLUMN file_id, DROP COLUMN edited_at, DROP COLUMN deleted_at,
    DROP COLUMN source, DROP COLUMN outbox, DROP COLUMN priority, DROP COLUMN attempts, DROP COLUMN next_attempt_at,
    DROP COLUMN expires_at, DROP COLUMN failure, DROP COLUMN search, ADD COLUMN attempted_at timestamptz;
CREATE INDEX messages_outbox ON messages (id) WHERE direction = 'out' AND wa_id IS NULL;
ALTER TABLE chats DROP COLUMN status, DROP COLUMN status_changed_at, DROP COLUMN snoozed_until, DROP COLUMN last_in_at, DROP COLUMN last_out_at;
DROP INDEX chats_search;
