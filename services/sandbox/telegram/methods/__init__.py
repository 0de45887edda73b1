"""What each Bot API method does; importing this package registers them all."""

from services.sandbox.telegram.methods import bot, delivery, edit, payment, send, send_media

__all__ = ["bot", "delivery", "edit", "payment", "send", "send_media"]
