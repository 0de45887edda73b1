-- The grants that made some lots of an account. Before lots were numbered: in their order. $1 stream, $2 lots
SELECT position, stream, version, type, data, key, body_hash, command_events, recorded_at_us, hash
FROM (SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, recorded_at_us, hash,
             coalesce(nullif((data ->> 'lot')::bigint, 0), row_number() OVER (ORDER BY version)) AS lot
      FROM events WHERE stream = $1 AND type = 'CreditsGranted') AS grants
WHERE lot = ANY ($2::bigint[])
