-- $1 kind, $2 head position, $3 head hash, $4 time in epoch microseconds, $5 the note
INSERT INTO checkpoints (kind, position, hash, made_at, note)
VALUES ($1, $2, $3, timestamptz 'epoch' + $4::bigint * interval '1 microsecond', $5) RETURNING number
