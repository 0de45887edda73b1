-- name: store_updates
-- Keep updates; one that came before is left out, as is what is too much of one chat: how many went of those. $1 update ids, $2 chats,
-- $3 users, $4 urgent or not, $5 bodies.
SELECT ledger.store_updates($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[], $5::text[])
