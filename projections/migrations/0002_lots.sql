-- Balances show their lots; expired and revoked credits have accounts of their own in the books.

-- The rows are folded anew from the log: what the lots hold cannot be told from the old columns.
DO $$
DECLARE
    version_number int;
    is_active boolean;
BEGIN
    DROP VIEW balances;
    FOR version_number, is_active IN SELECT version, active FROM cursors WHERE name = 'balances' LOOP
        IF is_active THEN
            EXECUTE format('TRUNCATE balances_v%s', version_number);
            EXECUTE format('ALTER TABLE balances_v%s
                ADD COLUMN expired bigint NOT NULL,
                ADD COLUMN debt bigint NOT NULL,
                ADD COLUMN lots json NOT NULL,
                ADD COLUMN lots_made bigint NOT NULL,
                ADD COLUMN next_expiry_at_us bigint,
                ADD COLUMN forgotten_at_us bigint', version_number);
            EXECUTE format('CREATE INDEX ON balances_v%s (next_expiry_at_us) WHERE next_expiry_at_us IS NOT NULL',
                           version_number);
            EXECUTE format('CREATE VIEW balances AS SELECT * FROM balances_v%s', version_number);
        ELSE
            EXECUTE format('DROP TABLE IF EXISTS balances_v%s', version_number);
        END IF;
    END LOOP;
    DELETE FROM cursors WHERE name = 'balances' AND NOT active;
    UPDATE cursors SET position = 0, hash = decode(repeat('00', 32), 'hex') WHERE name = 'balances';
    GRANT SELECT ON balances TO neurocards_app, auditor;
END $$;

CREATE OR REPLACE VIEW audit.transfers AS
SELECT position,
       type,
       CASE type WHEN 'CreditsGranted' THEN 'issued:' || (data ->> 'kind')
                 WHEN 'CreditsRefunded' THEN 'spent:generation'
                 WHEN 'CreditsRestored' THEN 'revoked:payment'
                 ELSE 'user:' || substr(stream, length('account-') + 1) END AS source,
       CASE type WHEN 'CreditsCharged' THEN 'spent:generation'
                 WHEN 'CreditsRevoked' THEN 'revoked:' || coalesce(data ->> 'kind', 'manual')
                 WHEN 'CreditsExpired' THEN 'expired:' || (data ->> 'kind')
                 ELSE 'user:' || substr(stream, length('account-') + 1) END AS target,
       (data ->> 'amount')::bigint AS amount
FROM public.events
WHERE type IN ('CreditsGranted', 'CreditsCharged', 'CreditsRefunded', 'CreditsRevoked', 'CreditsRestored',
               'CreditsExpired');
