-- Sign-ups begin with a mail wherever mails reach people, unless admins say otherwise.
-- That they do not was the default until now, and nobody's word.

-- +goose Up
ALTER TABLE gateway.settings ALTER sign_up_by_mail DROP NOT NULL, ALTER sign_up_by_mail DROP DEFAULT;
UPDATE gateway.settings SET sign_up_by_mail = NULL WHERE NOT sign_up_by_mail;

-- +goose Down
UPDATE gateway.settings SET sign_up_by_mail = false WHERE sign_up_by_mail IS NULL;
ALTER TABLE gateway.settings ALTER sign_up_by_mail SET DEFAULT false, ALTER sign_up_by_mail SET NOT NULL;
