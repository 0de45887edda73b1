"""The Bot API: client, sending, files, Stars, limits, callback data."""
