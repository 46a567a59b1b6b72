-- Events for other systems. A delivery is written in the transaction of what it
-- tells.

-- +goose Up
CREATE TABLE webhooks (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url        text        NOT NULL,
    secret     text        NOT NULL,   -- key of the signature
    events     text[]      NOT NULL,   -- names, or '*' for all
    active     boolean     NOT NULL DEFAULT true,
    disabled_reason text   NOT NULL DEFAULT '', -- why it is not active, when nobody asked for that
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE webhook_deliveries (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id      bigint      NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    event           text        NOT NULL,
    payload         json        NOT NULL, -- as it was said; every attempt has the same bytes
    status          text        NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts        smallint    NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    retry_until     timestamptz NOT NULL DEFAULT now() + interval '24 hours', -- an attempt that fails after it is the last
    response_status smallint,               -- of the latest attempt; null without an answer
    failure         text        NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL DEFAULT now(),
    delivered_at    timestamptz
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, next_attempt_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (webhook_id, id) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_old ON webhook_deliveries (created_at);
CREATE INDEX webhook_deliveries_log ON webhook_deliveries (webhook_id, id DESC);

-- +goose Down
DROP TABLE webhook_deliveries, webhooks;
