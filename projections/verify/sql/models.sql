-- Every event, as much of it as a read model folds. $1 after this position
SELECT position, stream, version, type, data::text AS data, recorded_at_us
FROM events WHERE position > $1 ORDER BY position
