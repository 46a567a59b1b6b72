-- What was erased does not come back: WhatsApp still has the messages.

-- +goose Up
CREATE TABLE erased_chats (
    chat_id text        PRIMARY KEY,
    before  timestamptz NOT NULL -- older messages are not taken in again
);

-- +goose Down
DROP TABLE erased_chats;
