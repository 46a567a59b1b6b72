-- Sign-ups begin with a mail wherever mails reach people, unless admins say otherwise.
-- That they do not was the default until now, and nobody's word. The column stays as
-- gateways of the version before read it, which run while this does.

-- +goose Up
ALTER TABLE gateway.settings ADD sign_up_by_mail_chosen boolean NOT NULL DEFAULT false;
UPDATE gateway.settings SET sign_up_by_mail_chosen = true WHERE sign_up_by_mail;

-- +goose Down
ALTER TABLE gateway.settings DROP COLUMN sign_up_by_mail_chosen;
