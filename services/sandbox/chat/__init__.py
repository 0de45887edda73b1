"""The people's side: what a person does in a chat, as an API and as a page in a browser."""

from services.sandbox.chat.api import page_routes, routes

__all__ = ["page_routes", "routes"]
