-- Photos of drafts, ordered or not. $1 account
SELECT DISTINCT photo FROM drafts WHERE account = $1
