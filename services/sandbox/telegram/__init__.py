"""The Telegram Bot API, as a bot sees it, and what the people's side needs of it."""

from services.sandbox.telegram.server import routes
from services.sandbox.telegram.service import Telegram, of

__all__ = ["Telegram", "of", "routes"]
