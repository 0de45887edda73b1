"""The people's side of Telegram: chat API and page in a browser."""

from services.sandbox.chat.api import page_routes, routes

__all__ = ["page_routes", "routes"]
