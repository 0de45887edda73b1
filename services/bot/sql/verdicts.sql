-- What is known of these contents. $1 account, $2 contents
SELECT content, kinds FROM verdicts WHERE account = $1 AND content = ANY ($2::text[])
