-- How many events of each type, and how many credits they moved. $1 first position, $2 last position
SELECT type, CASE WHEN type IN ('CreditsGranted', 'CreditsRevoked', 'CreditsExpired') THEN data ->> 'kind' END AS kind,
       count(*) AS events,
       coalesce(sum(CASE WHEN type LIKE 'Credits%' THEN (data ->> 'amount')::bigint END), 0)::bigint AS credits
FROM events WHERE position BETWEEN $1 AND $2
GROUP BY 1, 2
