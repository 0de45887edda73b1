"""A mail server on a socket: STARTTLS or TLS from the start, AUTH PLAIN, and recipients it refuses."""

import asyncio
import base64
import email
import email.policy
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage

USER, PASSWORD = "notes@example.com", "hunter/2"


@dataclass
class MailServer:
    """`refuse`: recipients that are answered 550. `mails`: what came, and to whom."""

    port: int = 0
    refuse: set[str] = field(default_factory=set)
    mails: list[tuple[str, EmailMessage]] = field(default_factory=list)

    async def talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: ssl.SSLContext | None
    ) -> None:
        encrypted, known, to = writer.get_extra_info("sslcontext") is not None, False, ""
        writer.write(b"220 test\r\n")
        while line := (await reader.readline()).decode().rstrip():
            verb, _, rest = line.partition(" ")
            answer = "250 ok"
            match verb.upper():
                case "EHLO":
                    more = ("AUTH PLAIN",) if encrypted else ("STARTTLS",) if tls else ()
                    answer = "\r\n".join(["250-test", *(f"250-{each}" for each in more), "250 8BITMIME"])
                case "STARTTLS":
                    writer.write(b"220 go ahead\r\n")
                    assert tls is not None
                    await writer.start_tls(tls)
                    encrypted = True
                    continue
                case "AUTH":
                    given = base64.b64decode(rest.split()[-1]).decode().split("\0")[1:]
                    known = given == [USER, PASSWORD]
                    answer = "235 ok" if known else "535 who are you"
                case "RCPT":
                    to = rest.partition("<")[2].partition(">")[0]
                    answer = "550 nobody" if to in self.refuse or not known else answer
                case "DATA":
                    writer.write(b"354 go on\r\n")
                    text = (await reader.readuntil(b"\r\n.\r\n"))[:-3]
                    mail = email.message_from_bytes(text, policy=email.policy.default)
                    assert isinstance(mail, EmailMessage)
                    self.mails.append((to, mail))
                case "QUIT":
                    answer = "221 bye"
            writer.write(f"{answer}\r\n".encode())
            await writer.drain()


@asynccontextmanager
async def mail_server(
    *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None
) -> AsyncIterator[MailServer]:
    """A mail server at `localhost`; `tls`: from the start."""
    found = MailServer()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            await found.talk(reader, writer, starttls)
        writer.close()

    server = await asyncio.start_server(talk, "localhost", 0, ssl=tls)
    found.port = server.sockets[0].getsockname()[1]
    async with server:
        yield found
