-- What consumers remember of the log, and what the log has there.
SELECT c.name, c.position, c.hash, e.hash AS log_hash
FROM cursors c LEFT JOIN events e USING (position)
WHERE c.active ORDER BY c.name
