-- People and labels, which all parts of the CRM refer to.

-- +goose Up
-- Trusted: the owner of a database may install it.
CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TABLE contacts (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    phone        text        UNIQUE,              -- +4915112345678; null for one known by LID only
    wa_name      text        NOT NULL DEFAULT '', -- as WhatsApp has it
    name         text        NOT NULL DEFAULT '', -- as the user wrote it; wins over wa_name
    company      text        NOT NULL DEFAULT '',
    email        text        NOT NULL DEFAULT '',
    custom       jsonb       NOT NULL DEFAULT '{}', -- by the key of a custom field
    is_business  boolean     NOT NULL DEFAULT false,
    opted_out_at timestamptz,                     -- null: may be written to by broadcasts
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    sort_name    text        GENERATED ALWAYS AS (left(lower(coalesce(nullif(name, ''), nullif(wa_name, ''), phone, '')), 40)) STORED
);
CREATE INDEX contacts_by_name ON contacts (sort_name, id);
CREATE INDEX contacts_by_email ON contacts (lower(email)) WHERE email <> '';
CREATE INDEX contacts_search ON contacts USING gin ((name || ' ' || wa_name || ' ' || company || ' ' || email || ' ' || coalesce(phone, '')) gin_trgm_ops);

-- A person may have several WhatsApp ids: 4915112345678@c.us and 123@lid.
CREATE TABLE contact_ids (
    wa_id      text   PRIMARY KEY,
    contact_id bigint NOT NULL REFERENCES contacts ON DELETE CASCADE
);
CREATE INDEX contact_ids_by_contact ON contact_ids (contact_id);

ALTER TABLE chats ADD COLUMN contact_id bigint REFERENCES contacts ON DELETE SET NULL; -- null for groups
CREATE INDEX chats_by_contact ON chats (contact_id) WHERE contact_id IS NOT NULL;

-- Chats from before this table get their contact.
INSERT INTO contacts (phone, wa_name)
SELECT phone, max(name) FROM chats WHERE NOT is_group AND phone IS NOT NULL GROUP BY phone;
UPDATE chats SET contact_id = c.id FROM contacts c WHERE c.phone = chats.phone AND NOT chats.is_group;
ALTER TABLE contacts ADD COLUMN chat text;
INSERT INTO contacts (wa_name, chat) SELECT name, id FROM chats WHERE NOT is_group AND contact_id IS NULL;
UPDATE chats SET contact_id = c.id FROM contacts c WHERE c.chat = chats.id;
ALTER TABLE contacts DROP COLUMN chat;
INSERT INTO contact_ids (wa_id, contact_id) SELECT id, contact_id FROM chats WHERE contact_id IS NOT NULL;

CREATE TABLE labels (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text        NOT NULL,
    color      text        NOT NULL DEFAULT 'gray',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX labels_by_name ON labels (lower(name));
CREATE TABLE chat_labels (
    chat_id  text   NOT NULL REFERENCES chats ON DELETE CASCADE,
    label_id bigint NOT NULL REFERENCES labels ON DELETE CASCADE,
    PRIMARY KEY (chat_id, label_id)
);
CREATE INDEX chat_labels_by_label ON chat_labels (label_id);
CREATE TABLE contact_labels (
    contact_id bigint NOT NULL REFERENCES contacts ON DELETE CASCADE,
    label_id   bigint NOT NULL REFERENCES labels ON DELETE CASCADE,
    PRIMARY KEY (contact_id, label_id)
);
CREATE INDEX contact_labels_by_label ON contact_labels (label_id);

CREATE TABLE custom_fields (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key        text        NOT NULL UNIQUE, -- in contacts.custom; never changes
    name       text        NOT NULL,
    type       text        NOT NULL CHECK (type IN ('text', 'number', 'date', 'boolean', 'choice')),
    choices    text[]      NOT NULL DEFAULT '{}',
    position   integer     NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE contact_notes (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contact_id bigint      NOT NULL REFERENCES contacts ON DELETE CASCADE,
    text       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE INDEX contact_notes_by_contact ON contact_notes (contact_id, id DESC);
-- What a note said before each change.
CREATE TABLE contact_note_versions (
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    note_id  bigint      NOT NULL REFERENCES contact_notes ON DELETE CASCADE,
    text     text        NOT NULL,
    until    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX contact_note_versions_by_note ON contact_note_versions (note_id, id DESC);

-- +goose Down
DROP TABLE contact_note_versions, contact_notes, custom_fields, contact_labels, chat_labels, labels, contact_ids;
ALTER TABLE chats DROP COLUMN contact_id;
DROP TABLE contacts;
DROP EXTENSION pg_trgm;
