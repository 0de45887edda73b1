-- A draft has become an order, and keeps its photo. $1 draft
WITH marked AS (UPDATE drafts SET ordered = true WHERE draft = $1 RETURNING photo)
UPDATE blobs SET used_at = 'infinity' FROM marked WHERE blob = marked.photo
