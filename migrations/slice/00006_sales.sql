-- Pipeline and tasks.

-- +goose Up
CREATE TABLE stages (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text        NOT NULL,
    kind       text        NOT NULL DEFAULT 'open' CHECK (kind IN ('open', 'won', 'lost')),
    color      text        NOT NULL DEFAULT 'gray',
    position   integer     NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX stages_by_name ON stages (lower(name));
INSERT INTO stages (name, kind, color, position) VALUES
    ('New', 'open', 'blue', 1), ('Offer', 'open', 'yellow', 2), ('Won', 'won', 'green', 3), ('Lost', 'lost', 'gray', 4);

CREATE TABLE deals (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    title         text        NOT NULL,
    stage_id      bigint      NOT NULL REFERENCES stages,
    position      double precision NOT NULL, -- order within the stage
    contact_id    bigint      REFERENCES contacts ON DELETE SET NULL,
    value         bigint      NOT NULL DEFAULT 0 CHECK (value >= 0), -- in the currency's smallest unit
    currency      char(3)     NOT NULL DEFAULT 'EUR',
    expected_date date,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    closed_at     timestamptz -- null in an open stage, else when it was won or lost
);
CREATE INDEX deals_by_stage ON deals (stage_id, position, id);
CREATE INDEX deals_closed ON deals (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX deals_by_contact ON deals (contact_id) WHERE contact_id IS NOT NULL;
CREATE TABLE deal_history (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deal_id bigint      NOT NULL REFERENCES deals ON DELETE CASCADE,
    at      timestamptz NOT NULL DEFAULT now(),
    changes jsonb       NOT NULL -- {"stage_id": ["1", "2"]}: from, to
);
CREATE INDEX deal_history_by_deal ON deal_history (deal_id, id DESC);

CREATE TABLE tasks (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    title       text        NOT NULL,
    text        text        NOT NULL DEFAULT '',
    due_at      timestamptz,
    contact_id  bigint      REFERENCES contacts ON DELETE SET NULL,
    deal_id     bigint      REFERENCES deals ON DELETE SET NULL,
    done_at     timestamptz,
    reminded_at timestamptz, -- when the reminder event was published
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tasks_to_remind ON tasks (due_at, id) WHERE done_at IS NULL AND reminded_at IS NULL AND due_at IS NOT NULL;
CREATE INDEX tasks_by_due ON tasks (coalesce(due_at, '9999-12-31 00:00:00+00'::timestamptz), id);
CREATE INDEX tasks_by_contact ON tasks (contact_id) WHERE contact_id IS NOT NULL;
CREATE INDEX tasks_by_deal ON tasks (deal_id) WHERE deal_id IS NOT NULL;

-- +goose Down
DROP TABLE tasks, deal_history, deals, stages;
