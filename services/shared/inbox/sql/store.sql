-- Keep updates; one that is there already stays as it is. $1 update ids, $2 chats, $3 users, $4 bodies.
INSERT INTO updates (update_id, chat_id, user_id, body)
SELECT u, c, p, b::json FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[]) AS t (u, c, p, b)
ON CONFLICT (update_id) DO NOTHING
