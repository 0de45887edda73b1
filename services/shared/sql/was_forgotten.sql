-- $1 the person's keyed hash
SELECT EXISTS (SELECT FROM forgotten WHERE person = $1)
