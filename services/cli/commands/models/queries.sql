-- name: open_jobs_of_model
-- How many unfinished jobs were ordered from a model. $1 model
SELECT count(*) FROM open_jobs JOIN events queued USING (position) WHERE queued.data ->> 'model' = $1
