"""The bot without servers."""
