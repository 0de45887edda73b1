"""Mail through an SMTP server, encrypted or not at all."""

import smtplib
from email.message import EmailMessage
from email.utils import formatdate
from typing import Final
from urllib.parse import unquote, urlsplit

from services.platform.tls import tls_context

TIMEOUT_S: Final = 20.0
"""Of each step of the conversation."""


def send_file(url: str, to: str, subject: str, text: str, name: str, file: bytes) -> None:
    """Send a file as an attachment; blocks. Raises OSError, of which SMTPException is one.

    `smtps://user:password@host:465` is TLS from the start, `smtp://user:password@host:587` STARTTLS. The
    sender is the user, if that is an address. The same file has the same Message-ID, by which a second copy
    is known.
    """
    server = urlsplit(url)
    host, user = server.hostname or "", unquote(server.username or "")
    message = EmailMessage()
    message["From"] = user if "@" in user else f"{user or 'neurocards'}@{host}"
    message["To"], message["Subject"] = to, subject
    message["Date"], message["Message-ID"] = formatdate(), f"<{name}@{host}>"
    message.set_content(text)
    message.add_attachment(file, maintype="application", subtype="octet-stream", filename=name)
    if server.scheme == "smtps":
        session: smtplib.SMTP = smtplib.SMTP_SSL(
            host, server.port or 465, timeout=TIMEOUT_S, context=tls_context()
        )
    else:
        session = smtplib.SMTP(host, server.port or 587, timeout=TIMEOUT_S)
    with session:
        if server.scheme == "smtp":
            session.starttls(context=tls_context())
        if user:
            session.login(user, unquote(server.password or ""))
        session.send_message(message)
