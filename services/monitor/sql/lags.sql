-- The log's head, and the position of every in-order consumer that applies events
SELECT c.name, c.position, coalesce((SELECT max(e.position) FROM events e), 0) AS head FROM cursors c WHERE c.active
