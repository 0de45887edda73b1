"""The sandbox of the Bot API's tests, seen from the person's side."""

from tests.unit.services.sandbox.telegram.conftest import bot, http, sandbox

__all__ = ["bot", "http", "sandbox"]
