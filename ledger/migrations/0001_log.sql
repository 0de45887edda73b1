-- The log: every event, in one order, in one hash chain. Append-only by privilege and by trigger.

CREATE TABLE events (
    position       bigint NOT NULL PRIMARY KEY CHECK (position > 0),
    stream         text   NOT NULL CHECK (length(stream) BETWEEN 1 AND 200),
    version        bigint NOT NULL CHECK (version > 0),
    type           text   NOT NULL,
    data           json   NOT NULL CHECK (data::jsonb IS NOT NULL),  -- jsonb refuses what json lets through (\u0000)
    key            text,                                             -- on the first event of a command
    body_hash      bytea CHECK (length(body_hash) = 32),
    command_events bigint CHECK (command_events > 0),
    recorded_at_us bigint NOT NULL,                                  -- epoch microseconds, the database's clock
    hash           bytea  NOT NULL CHECK (length(hash) = 32),
    CONSTRAINT events_stream_version UNIQUE (stream, version),
    CONSTRAINT events_key UNIQUE (key),
    CHECK ((key IS NULL) = (body_hash IS NULL) AND (key IS NULL) = (command_events IS NULL))
);

COMMENT ON TABLE events IS 'Immutable. position is dense and in commit order; hash covers the previous hash and every other column.';

-- The last guard, should the deciders ever be wrong: one charge, one refund, one end and one gift per job.
CREATE UNIQUE INDEX events_one_charge_per_job ON events ((data ->> 'job')) WHERE type = 'CreditsCharged';
CREATE UNIQUE INDEX events_one_refund_per_job ON events ((data ->> 'job')) WHERE type = 'CreditsRefunded';
CREATE UNIQUE INDEX events_one_end_per_job ON events (stream) WHERE type IN ('JobSucceeded', 'JobFailed');
CREATE UNIQUE INDEX events_one_gift_per_job ON events (stream) WHERE type = 'VideoGifted';

CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'table % is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();

-- What is being worked on. Written in the append transaction, so that neither the monitor nor the relay's
-- recovery depends on a projection.
CREATE TABLE open_jobs (
    job            text   NOT NULL PRIMARY KEY,
    account        text   NOT NULL,
    position       bigint NOT NULL,  -- of its JobQueued
    deadline_at_us bigint NOT NULL
);
CREATE INDEX open_jobs_deadline ON open_jobs (deadline_at_us);
