-- Keys of rows that are not the same in both tables. Texts of JSON may differ and mean the same: look again.
SELECT coalesce(l.{key}, f.{key}) AS key FROM {live} AS l FULL JOIN {fresh} AS f ON l.{key} = f.{key}
WHERE l.{key} IS NULL OR f.{key} IS NULL OR ({l_columns}) IS DISTINCT FROM ({f_columns})
ORDER BY coalesce(l.{key}, f.{key}) COLLATE "C"
