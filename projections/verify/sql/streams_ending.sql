-- Streams that go up to a version and no further: a row of the next version may have stood there.
-- Reads all rows: only asked after damage. $1 versions
SELECT e.version, e.stream FROM events e
WHERE e.version = ANY ($1::bigint[])
  AND NOT EXISTS (SELECT FROM events later WHERE later.stream = e.stream AND later.version = e.version + 1)
LIMIT 200000
