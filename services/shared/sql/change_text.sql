-- Other words for what is not ordered. $1 the text's reference, $2 its JSON
UPDATE texts SET body = $2::text::json
WHERE ref = $1 AND NOT EXISTS (SELECT FROM drafts WHERE brief = $1 AND ordered)
