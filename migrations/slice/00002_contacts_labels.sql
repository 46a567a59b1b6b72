-- What the parts of the CRM refer to: people and labels.

-- +goose Up
CREATE TABLE contacts (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    wa_id      text        UNIQUE,           -- WhatsApp id, such as 4915112345678@c.us or 123@lid; null for one that was imported
    phone      text        UNIQUE,           -- +4915112345678; null for one known by LID only
    wa_name    text        NOT NULL DEFAULT '', -- as WhatsApp has it
    name       text        NOT NULL DEFAULT '', -- as the user wrote it; wins over wa_name
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE chats ADD COLUMN contact_id bigint REFERENCES contacts ON DELETE SET NULL; -- null for groups
CREATE INDEX chats_by_contact ON chats (contact_id) WHERE contact_id IS NOT NULL;

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

-- +goose Down
DROP TABLE contact_labels, chat_labels, labels;
ALTER TABLE chats DROP COLUMN contact_id;
DROP TABLE contacts;
