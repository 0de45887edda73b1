-- name: chat_data
-- $1 Telegram id
SELECT data::text FROM chat_states WHERE telegram_id = $1

-- name: chat_data_set
-- $1 Telegram id, $2 JSON
INSERT INTO chat_states (telegram_id, data) VALUES ($1, $2::text::json)
ON CONFLICT (telegram_id) DO UPDATE SET data = excluded.data

-- name: chat_state
-- What the next message of somebody is waited for. $1 Telegram id
SELECT state FROM chat_states WHERE telegram_id = $1

-- name: chat_state_set
-- $1 Telegram id, $2 state, NULL for none
INSERT INTO chat_states (telegram_id, state) VALUES ($1, $2)
ON CONFLICT (telegram_id) DO UPDATE SET state = excluded.state

-- name: last_jobs
-- The last jobs charged to stream $1, newest first, at most $2.
SELECT data ->> 'job' AS job, recorded_at_us FROM events
WHERE stream = $1 AND type = 'CreditsCharged'
ORDER BY version DESC LIMIT $2

-- name: last_operations
-- The last events of stream $1 that moved credits, newest first, at most $2.
SELECT position, type, data::text, recorded_at_us FROM events
WHERE stream = $1
  AND type IN ('CreditsGranted', 'CreditsCharged', 'CreditsRefunded', 'CreditsRevoked', 'CreditsRestored',
               'CreditsExpired')
ORDER BY version DESC LIMIT $2

-- name: verdict_keep
-- Remember a verdict; the first one stays. $1 account, $2 content, $3 kinds
INSERT INTO verdicts (account, content, kinds) VALUES ($1, $2, $3::text[]) ON CONFLICT DO NOTHING

-- name: verdicts
-- What is known of these contents. $1 account, $2 contents
SELECT content, kinds FROM verdicts WHERE account = $1 AND content = ANY ($2::text[])
