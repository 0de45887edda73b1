-- What comparisons found and could not put right, by kind. $1 comparisons
SELECT kind, count(*) FROM payment_differences WHERE comparison = ANY ($1) AND NOT repaired GROUP BY kind
