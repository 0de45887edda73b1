-- What a comparison found and could not put right, by kind. $1 comparison
SELECT kind, count(*) FROM payment_differences WHERE comparison = $1 AND NOT repaired GROUP BY kind
