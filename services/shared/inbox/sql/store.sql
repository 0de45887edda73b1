-- Keep updates; one that is there already stays as it is. $1 update ids, $2 chats, $3 users, $4 urgent or not,
-- $5 bodies.
INSERT INTO updates (update_id, chat_id, user_id, urgent, body)
SELECT i, c, p, u, b::json
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[], $5::text[]) AS t (i, c, p, u, b)
ON CONFLICT (update_id) DO NOTHING
