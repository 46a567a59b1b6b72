-- Files of messages: fetched from WhatsApp, or uploaded to be sent. In chunks, so
-- that a part can be served without reading the whole.

-- +goose Up
CREATE TABLE files (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text        NOT NULL DEFAULT '',
    mime_type  text        NOT NULL,
    size       bigint      NOT NULL CHECK (size > 0),       -- bytes
    sha256     bytea       NOT NULL,
    complete   boolean     NOT NULL DEFAULT false,          -- all chunks are there
    used_at    timestamptz NOT NULL DEFAULT now(),          -- the least recently used leave first
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX files_by_use ON files (used_at DESC, id DESC);
CREATE TABLE file_chunks (
    file_id bigint  NOT NULL REFERENCES files ON DELETE CASCADE,
    n       integer NOT NULL, -- from 0
    data    bytea   NOT NULL,
    PRIMARY KEY (file_id, n)
);
ALTER TABLE file_chunks ALTER COLUMN data SET STORAGE EXTERNAL; -- photos and sound do not get smaller

-- +goose Down
DROP TABLE file_chunks, files;
