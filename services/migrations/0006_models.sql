-- Which video models may be used just now. The truth for every process: Redis may be empty, this is not.
-- A model without a row is available. The rules are in services/generation/circuit_breaker/rules.py; times are epoch
-- microseconds of this database's clock, as in `events`.

CREATE TABLE model_circuits (
    model          text   NOT NULL PRIMARY KEY,
    state          text   NOT NULL DEFAULT 'available' CHECK (state IN ('available', 'paused', 'failing')),
    set_by         text   NOT NULL DEFAULT 'provider' CHECK (set_by IN ('provider', 'operator')),
    actor          text   NOT NULL DEFAULT '',       -- the operator
    reason         text   NOT NULL DEFAULT '',
    since_us       bigint NOT NULL DEFAULT 0,        -- of the state
    until_us       bigint,                           -- from then on a probe is let through; NULL: never
    failed         text[] NOT NULL DEFAULT '{}',     -- accounts whose submissions ended in the provider's trouble since
    openings       bigint NOT NULL DEFAULT 0,        -- pauses without a video in between: each is longer
    probe_job      text   NOT NULL DEFAULT '',       -- the job that was let through last
    probe_until_us bigint NOT NULL DEFAULT 0,        -- the next one not before
    CHECK (set_by = 'provider' OR state <> 'failing'),
    CHECK (state = 'available' OR set_by = 'operator' OR until_us IS NOT NULL)
);

-- Every change of a state, for good: who, why, when.
CREATE TABLE model_changes (
    number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model      text   NOT NULL,
    state      text   NOT NULL,
    set_by     text   NOT NULL,
    actor      text   NOT NULL,
    reason     text   NOT NULL,
    until_us   bigint,
    changed_us bigint NOT NULL
);
CREATE TRIGGER model_changes_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON model_changes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();

GRANT SELECT, INSERT, UPDATE ON model_circuits TO neurocards_app;
GRANT SELECT, INSERT ON model_changes TO neurocards_app;
GRANT SELECT ON model_circuits, model_changes TO auditor;
