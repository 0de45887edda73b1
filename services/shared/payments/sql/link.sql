-- $1 payment
SELECT payment, account, contact, confirmation_url, chat_id, message_id, draft FROM payment_links WHERE payment = $1
