-- $1 comparison; then its columns in order
INSERT INTO payment_differences (
    comparison, kind, object, payment, provider_payment, provider_refund, ours_minor, theirs_minor, currency,
    repaired, note
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
