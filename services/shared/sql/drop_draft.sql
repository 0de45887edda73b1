-- A draft that was not ordered, with its words. $1 draft
WITH gone AS MATERIALIZED (SELECT brief FROM drafts WHERE draft = $1 AND NOT ordered FOR UPDATE)
DELETE FROM texts WHERE ref IN (SELECT brief FROM gone)
