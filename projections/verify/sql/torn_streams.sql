-- Streams whose versions are not 1 to their count: rows came or went. Reads all rows: only asked after damage.
SELECT stream FROM events GROUP BY stream
HAVING max(version) <> count(*) OR min(version) <> 1
LIMIT 200
