-- How far the monitor has verified the log, and what it found: one row.
CREATE TABLE verification (
    one         boolean     NOT NULL PRIMARY KEY DEFAULT true CHECK (one),
    position    bigint      NOT NULL DEFAULT 0 CHECK (position >= 0),  -- the log's head when it was verified last,
    hash        bytea       NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (length(hash) = 32),
    ended_at    timestamptz,                          -- and when that was
    whole_at    timestamptz,                          -- when it was verified from its start
    problems    jsonb       NOT NULL DEFAULT '{}',    -- kind → how many, since it was verified from its start
    taken_until timestamptz NOT NULL DEFAULT '-infinity'  -- a monitor is at it
);
INSERT INTO verification DEFAULT VALUES;
GRANT SELECT, UPDATE ON verification TO neurocards_app;
GRANT SELECT ON verification TO auditor;

-- A notification said that it was paid, and the provider could not be asked.
ALTER TABLE payment_watch ADD COLUMN told_at timestamptz;
