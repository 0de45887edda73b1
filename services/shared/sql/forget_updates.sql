-- Messages that wait to be handled, or were parked. $1 Telegram id
DELETE FROM updates WHERE user_id = $1 OR chat_id = $1
