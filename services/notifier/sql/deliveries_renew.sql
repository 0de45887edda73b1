-- Keep what is being sent. $1 jobs, $2 kinds, $3 claims, $4 lease in seconds
UPDATE deliveries d SET due_at = clock_timestamp() + make_interval(secs => $4)
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS held (job, kind, claims)
WHERE d.job = held.job AND d.kind = held.kind AND d.claims = held.claims AND d.state IN ('pending', 'sending')
