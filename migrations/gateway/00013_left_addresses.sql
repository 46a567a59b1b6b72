-- Mails that name no user, of an address that its user left: they count for the
-- address, and are no part of the next user's history.

-- +goose Up
ALTER TABLE gateway.mails ADD address_left boolean NOT NULL DEFAULT false;

-- +goose Down
ALTER TABLE gateway.mails DROP address_left;
