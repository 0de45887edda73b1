-- The bot's inbox: an update is written here before Telegram is told that we have it, and deleted when it has
-- been handled. Personal data: gone within seconds, or, when parked, within PARKED_DAYS (services/bot/inbox).

CREATE TABLE updates (
    update_id   bigint      NOT NULL PRIMARY KEY,
    chat_id     bigint      NOT NULL,               -- updates of one chat are handled in order of update_id
    user_id     bigint,
    urgent      boolean     NOT NULL DEFAULT false, -- about money: in a lane of its own, never left out
    body        json        NOT NULL,               -- the Update as Telegram sent it
    begun       int         NOT NULL DEFAULT 0,     -- processes that took it in hand; many: it kills them
    failures    int         NOT NULL DEFAULT 0,     -- times its handler raised
    dropped     int         NOT NULL DEFAULT 0,     -- earlier ones of its chat that were left out as a flood
    error       text,                               -- of the last failure
    parked_at   timestamptz,                        -- given up; kept for an operator to see
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX updates_waiting ON updates (urgent, chat_id, update_id) WHERE parked_at IS NULL;
CREATE INDEX updates_parked ON updates (parked_at) WHERE parked_at IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON updates TO neurocards_app;
