"""A file is mailed encrypted, to a server whose certificate fits, or not at all."""

import asyncio
import smtplib
import ssl
from pathlib import Path
from urllib.parse import quote

import pytest

from services.adapters import smtp
from tests.support.certificates import tls_for
from tests.support.smtp_server import PASSWORD, USER, MailServer, mail_server

NOTE = "example.com/credits\n8\n\n— example.com/credits x\n".encode()


async def sent(
    server: MailServer, scheme: str, password: str = PASSWORD, to: str = "olga@example.org"
) -> None:
    url = f"{scheme}://{quote(USER, safe='')}:{quote(password, safe='')}@localhost:{server.port}"
    await asyncio.to_thread(smtp.send_file, url, to, "a checkpoint", "Keep it.", "checkpoint-8.note", NOTE)


async def test_a_file_comes_byte_by_byte_and_a_second_copy_is_known_by_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = tls_for("localhost", tmp_path)
    monkeypatch.setattr(smtp, "tls_context", lambda: theirs)
    async with mail_server(starttls=ours) as server, mail_server(tls=ours) as other:
        await sent(server, "smtp")
        await sent(server, "smtp")
        await sent(other, "smtps")
        (to, mail), (_, again), (_, third) = *server.mails, *other.mails
        [file] = mail.iter_attachments()
        assert (to, mail["To"], mail["From"], mail["Subject"]) == (
            *["olga@example.org"] * 2,
            USER,
            "a checkpoint",
        )
        assert (file.get_filename(), file.get_content()) == ("checkpoint-8.note", NOTE)
        assert mail["Message-ID"] == again["Message-ID"] == third["Message-ID"]
        server.refuse = {"gone@example.org"}
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            await sent(server, "smtp", to="gone@example.org")
        with pytest.raises(smtplib.SMTPAuthenticationError):
            await sent(server, "smtp", password="wrong")
        assert len(server.mails) == 2


async def test_nothing_is_said_in_the_clear_or_to_a_stranger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _ = tls_for("localhost", tmp_path)
    async with mail_server() as clear, mail_server(starttls=ours) as stranger, mail_server(tls=ours) as tls:
        with pytest.raises(smtplib.SMTPNotSupportedError):
            await sent(clear, "smtp")
        for server, scheme in ((stranger, "smtp"), (tls, "smtps")):
            with pytest.raises(ssl.SSLCertVerificationError):
                await sent(server, scheme)
        assert not clear.mails + stranger.mails + tls.mails
