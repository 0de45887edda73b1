"""What each Bot API method does; importing this package registers them all."""

from services.sandbox.telegram.methods import bot, edit, payment, send
from services.sandbox.telegram.methods import send as delivery
from services.sandbox.telegram.methods import send as send_media

__all__ = ["bot", "delivery", "edit", "payment", "send", "send_media"]
