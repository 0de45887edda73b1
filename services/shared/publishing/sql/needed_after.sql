-- The lowest position that an in-order consumer has applied; NULL when there is none.
SELECT min(position) FROM cursors WHERE active
