"""The people's side: what a person does in a chat, as an API and as a page in a browser."""

from services.sandbox.chat.api import routes
from services.sandbox.chat.site import page_routes

__all__ = ["page_routes", "routes"]
