-- How long each model's newest videos took, from the provider's acceptance to the video stored: how many there are,
-- median and 95th percentile in seconds. $1 so many of the newest events are looked at, $2 so many videos at most.
-- Both are bounds of the cost: one range of the primary key, then a job's few events by (stream, version)
WITH made AS (
    SELECT stream, recorded_at_us, (data ->> 'submission')::int AS submission
    FROM events
    WHERE position > (SELECT coalesce(max(position), 0) FROM events) - $1
      AND type = 'JobSucceeded'
    ORDER BY position DESC LIMIT $2
)
SELECT intended.data ->> 'model' AS model,
       count(*) AS videos,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY made.recorded_at_us - accepted.recorded_at_us) / 1e6 AS usual_s,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY made.recorded_at_us - accepted.recorded_at_us) / 1e6 AS p95_s
FROM made
JOIN events accepted ON accepted.stream = made.stream AND accepted.type = 'SubmissionAccepted'
    AND (accepted.data ->> 'submission')::int = made.submission
JOIN events intended ON intended.stream = made.stream AND intended.type = 'SubmissionIntended'
    AND (intended.data ->> 'submission')::int = made.submission
GROUP BY 1
