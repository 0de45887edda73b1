-- Of each provider's book the comparison that ended last, and when the older of them did
SELECT coalesce(array_agg(comparison), '{}') AS comparisons,
       coalesce(extract(epoch FROM min(ended_at)), 0)::float8 AS ended_s
FROM (SELECT DISTINCT ON (provider) comparison, ended_at FROM payment_comparisons
      WHERE ended_at IS NOT NULL ORDER BY provider, ended_at DESC) AS newest
