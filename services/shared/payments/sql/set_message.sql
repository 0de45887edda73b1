-- $1 payment, $2 chat, $3 message
UPDATE payment_links SET chat_id = $2, message_id = $3 WHERE payment = $1
