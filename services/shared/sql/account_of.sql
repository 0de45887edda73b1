-- The account of a Telegram user, made on first sight: unless what they sent was deleted with them meanwhile.
-- $1 the account to be, $2 Telegram id, $3 locale, $4 the update that came from them, if one did
WITH told AS MATERIALIZED (
    SELECT update_id FROM updates WHERE update_id = $4 FOR KEY SHARE
), made AS (
    INSERT INTO accounts (account, telegram_id, locale)
    SELECT $1, $2, $3 WHERE $4::bigint IS NULL OR EXISTS (SELECT FROM told)
    ON CONFLICT (telegram_id) DO UPDATE SET telegram_id = excluded.telegram_id
    RETURNING account, telegram_id, locale
)
SELECT account, telegram_id, locale FROM made
UNION ALL
SELECT account, telegram_id, locale FROM accounts WHERE telegram_id = $2 AND NOT EXISTS (SELECT FROM made)
