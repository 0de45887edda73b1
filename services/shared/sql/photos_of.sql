-- Photos of drafts, ordered or not, and those that were judged for a draft that is gone. $1 account
SELECT photo FROM drafts WHERE account = $1
UNION
SELECT content FROM verdicts WHERE account = $1 AND content LIKE 'photos/%'
