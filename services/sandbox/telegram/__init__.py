"""Sandbox of Telegram's Bot API, with the people's side."""

from services.sandbox.telegram.server import root_routes, routes
from services.sandbox.telegram.service import Telegram, of

__all__ = ["Telegram", "of", "root_routes", "routes"]
