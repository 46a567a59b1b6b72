-- Sign-ups begin with a mail wherever mails reach people, unless admins say otherwise.
-- True was always somebody's word, false was the default until now. The column stays
-- as gateways of the version before read it, which run while this does.

-- +goose Up
ALTER TABLE gateway.settings ADD sign_up_by_mail_chosen boolean NOT NULL DEFAULT false;

-- +goose Down
ALTER TABLE gateway.settings DROP COLUMN sign_up_by_mail_chosen;
