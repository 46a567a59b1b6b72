-- Encrypted copies of the browser's login, for a slice that comes to another
-- machine.

-- +goose Up
CREATE TABLE logins (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    complete   boolean     NOT NULL DEFAULT false, -- all chunks are there
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE login_chunks (
    login_id bigint  NOT NULL REFERENCES logins ON DELETE CASCADE,
    n        integer NOT NULL, -- from 0
    data     bytea   NOT NULL,
    PRIMARY KEY (login_id, n)
);
ALTER TABLE login_chunks ALTER COLUMN data SET STORAGE EXTERNAL; -- encrypted: does not get smaller

-- +goose Down
DROP TABLE login_chunks, logins;
