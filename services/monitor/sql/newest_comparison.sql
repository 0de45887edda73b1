-- The comparison of the provider's book that ended last
SELECT comparison, extract(epoch FROM ended_at)::float8 AS ended_s FROM payment_comparisons
WHERE ended_at IS NOT NULL ORDER BY ended_at DESC LIMIT 1
