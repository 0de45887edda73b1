"""Tests: buying credits in the chat, with the bot and the notifier as processes of their own."""
