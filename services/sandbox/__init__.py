"""Sandbox of the outside companies on one port: Telegram, KIE, OpenAI, YooKassa.

Only the command line, which starts it, imports this package; everything else speaks to it over HTTP.
"""
