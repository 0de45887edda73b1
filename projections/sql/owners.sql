-- Whose jobs and payments some streams are. $1 streams
SELECT stream, data ->> 'account' AS account FROM events WHERE stream = ANY ($1::text[]) AND version = 1
