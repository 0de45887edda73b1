-- What went wrong, how long jobs take, what each day came to, and every credit lot. They start empty, at the log's
-- beginning, and the projector brings them up to the head; `cursors` shows how far each is.

CREATE TABLE lots_v1 (
    lot_id        text   NOT NULL PRIMARY KEY,
    account       text   NOT NULL,
    lot           bigint NOT NULL,
    kind          text   NOT NULL,
    granted       bigint NOT NULL,
    amount_left   bigint NOT NULL,
    expires_at_us bigint,
    settled       bigint NOT NULL,
    spent         bigint NOT NULL,
    refunded      bigint NOT NULL,
    revoked       bigint NOT NULL,
    expired       bigint NOT NULL,
    granted_at_us bigint,
    reason        text   NOT NULL,
    reference     text   NOT NULL,
    paid_minor    bigint,
    currency      text   NOT NULL,
    actor         text   NOT NULL,
    updated_at_us bigint NOT NULL,
    position      bigint NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX ON lots_v1 (account, lot);
CREATE INDEX ON lots_v1 (reference) WHERE reference <> '';

CREATE TABLE job_times_v1 (
    job           text   NOT NULL PRIMARY KEY,
    model         text   NOT NULL,
    queued_at_us  bigint NOT NULL,
    state         text   NOT NULL,
    since_us      bigint NOT NULL,
    outcome       text   NOT NULL,
    queued_us     bigint NOT NULL,
    writing_us    bigint NOT NULL,
    submitting_us bigint NOT NULL,
    rendering_us  bigint NOT NULL,
    retrying_us   bigint NOT NULL,
    made_us       bigint,
    submissions   bigint NOT NULL,
    ended_at_us   bigint,
    position      bigint NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX ON job_times_v1 (ended_at_us) WHERE ended_at_us IS NOT NULL;
-- The newest videos of one model.
CREATE INDEX ON job_times_v1 (model, ended_at_us DESC) WHERE made_us IS NOT NULL;

CREATE TABLE error_stats_v1 (
    bucket             text   NOT NULL PRIMARY KEY,
    hour_at_us         bigint NOT NULL,
    model              text   NOT NULL,
    error_class        text   NOT NULL,
    submissions_failed bigint NOT NULL,
    jobs_failed        bigint NOT NULL,
    code               text   NOT NULL,
    message            text   NOT NULL,
    last_at_us         bigint NOT NULL,
    position           bigint NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX ON error_stats_v1 (hour_at_us);

CREATE TABLE daily_v1 (
    day           text   NOT NULL PRIMARY KEY,
    registrations bigint NOT NULL,
    orders        bigint NOT NULL,
    jobs          bigint NOT NULL,
    videos        bigint NOT NULL,
    failures      bigint NOT NULL,
    gifts         bigint NOT NULL,
    granted       bigint NOT NULL,
    sold          bigint NOT NULL,
    charged       bigint NOT NULL,
    refunded      bigint NOT NULL,
    revoked       bigint NOT NULL,
    expired       bigint NOT NULL,
    money         json   NOT NULL,
    made          json   NOT NULL,
    position      bigint NOT NULL
) WITH (fillfactor = 50);

CREATE VIEW lots AS SELECT * FROM lots_v1;
CREATE VIEW job_times AS SELECT * FROM job_times_v1;
CREATE VIEW error_stats AS SELECT * FROM error_stats_v1;
CREATE VIEW daily AS SELECT * FROM daily_v1;
INSERT INTO cursors (name) VALUES ('lots'), ('job_times'), ('error_stats'), ('daily');

GRANT SELECT, INSERT, UPDATE, DELETE ON lots_v1, job_times_v1, error_stats_v1, daily_v1 TO neurocards_app;
GRANT SELECT ON lots, job_times, error_stats, daily TO neurocards_app, auditor;
GRANT SELECT ON lots_v1, job_times_v1, error_stats_v1, daily_v1 TO auditor;
