"""The outside world on one port: Telegram, KIE, OpenAI and YooKassa as local servers.

Nobody imports this package except the command line that starts it; everybody else speaks to it over HTTP.
"""
