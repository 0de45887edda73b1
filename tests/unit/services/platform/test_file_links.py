"""Links to stored files: nobody makes one, changes one, or uses one for longer."""

import base64

import pytest

from services.platform.file_links import FileLinks, LinkError
from services.platform.settings import load_settings
from tests.support.each import each

BLOB = "videos/j1.mp4"


@pytest.fixture
def links() -> FileLinks:
    return FileLinks(load_settings(public_url="https://cards.example", callback_secret="s" * 16))


def test_a_link_leads_to_its_blob_until_it_expires(links: FileLinks) -> None:
    url = links.url(BLOB, 1000)
    assert url.startswith("https://cards.example/files/")
    token = url.rsplit("/", 1)[1]
    assert links.blob(token, 999.9) == BLOB
    with pytest.raises(LinkError):
        links.blob(token, 1000)
    assert url == links.url(BLOB, 1000)


def test_every_changed_character_breaks_it(links: FileLinks) -> None:
    token = links.token(BLOB, 1000)
    for index, letter in enumerate(token):
        changed = token[:index] + ("A" if letter != "A" else "B") + token[index + 1 :]
        if base64.urlsafe_b64decode(changed + "==") == base64.urlsafe_b64decode(token + "=="):
            continue  # the last character's spare bits
        with pytest.raises(LinkError):
            links.blob(changed, 1)


@each("token", ["", "x", "!!!", "a" * 501, "ключ", base64.urlsafe_b64encode(b"{}").decode()])
def test_nonsense_is_refused(links: FileLinks, token: str) -> None:
    with pytest.raises(LinkError):
        links.blob(token, 1)


def test_another_secret_signs_other_links(links: FileLinks) -> None:
    other = FileLinks(load_settings(callback_secret="t" * 16))
    with pytest.raises(LinkError):
        links.blob(other.token(BLOB, 1000), 1)
