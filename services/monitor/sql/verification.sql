-- When what is new and when the whole was verified last (epoch seconds, 0: never), up to where, and what is wrong
SELECT coalesce(extract(epoch FROM ended_at), 0)::float8 AS new_at_s,
       coalesce(extract(epoch FROM whole_at), 0)::float8 AS whole_at_s,
       position, problems::text AS problems
FROM verification
