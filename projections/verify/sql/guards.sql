-- What protects the log, and whether it is on.
WITH wanted (what, name) AS (VALUES
    ('trigger', 'events_append_only'), ('index', 'events_pkey'), ('index', 'events_stream_version'),
    ('index', 'events_key'), ('index', 'events_one_charge_per_job'), ('index', 'events_one_refund_per_job'),
    ('index', 'events_one_end_per_job'), ('index', 'events_one_gift_per_job'),
    ('index', 'events_one_success_per_payment'), ('index', 'events_one_refunded_per_refund'),
    ('index', 'events_one_order_per_payment'), ('index', 'events_one_creation_per_promo'),
    ('index', 'events_one_use_per_account'), ('index', 'events_one_reward_per_invited'), ('constraint', 'events_whole'),
    ('not null', 'position'), ('not null', 'stream'), ('not null', 'version'), ('not null', 'type'),
    ('not null', 'data'), ('not null', 'recorded_at_us'), ('not null', 'hash')
)
SELECT what, name FROM wanted
WHERE CASE what
    WHEN 'trigger' THEN NOT EXISTS (
        SELECT FROM pg_trigger t
        WHERE t.tgname = wanted.name AND t.tgrelid = 'events'::regclass AND t.tgenabled IN ('O', 'A'))
    WHEN 'constraint' THEN NOT EXISTS (
        SELECT FROM pg_constraint c
        WHERE c.conname = wanted.name AND c.conrelid = 'events'::regclass AND c.convalidated)
    WHEN 'not null' THEN NOT EXISTS (
        SELECT FROM pg_attribute a
        WHERE a.attname = wanted.name AND a.attrelid = 'events'::regclass AND a.attnotnull)
    ELSE NOT EXISTS (
        SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE c.relname = wanted.name AND i.indrelid = 'events'::regclass
          AND i.indisunique AND i.indisvalid AND i.indisready)
    END
