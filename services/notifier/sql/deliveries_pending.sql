-- How many deliveries are not settled, and when the oldest of them was owed (epoch seconds, 0 without one)
SELECT count(*) AS pending, coalesce(extract(epoch FROM min(owed_at)), 0)::float8 AS oldest_at_s
FROM deliveries WHERE state IN ('pending', 'sending')
