"""Nothing secret is left in outside text, however it was escaped, cut or quoted."""

import html
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from services.platform.scrub import WORDS_CHARS_MAX, scrub

URL = "https://api.us.example/webhooks/kie/j1/1/0a1b2c"
TELEGRAM_TOKEN = "123456789:AAE-x_" + "k3" * 14
KEY = "3f" * 16
SECRETS = {
    "url": (URL, "webhooks"),
    "bearer": ("Bearer kie.short-Key", "kie.short-Key"),
    "telegram": (TELEGRAM_TOKEN, "AAE-x_"),
    "telegram_file": (f"api.telegram.org/file/bot{TELEGRAM_TOKEN}/photos/1.jpg", "AAE-x_"),
    "key": (KEY, KEY),
    "openai": ("sk-proj-" + "a1_" * 12, "a1_a1"),
}


def twice_as_json(text: str) -> str:
    return json.dumps({"param": json.dumps({"prompt": text})})


WRAPPINGS: list[Callable[[str], str]] = [
    str,
    lambda text: json.dumps({"msg": text, "code": 500}),
    lambda text: json.dumps({"msg": text}, ensure_ascii=False),
    lambda text: json.dumps({"msg": text}).replace("/", "\\/"),
    twice_as_json,
    lambda text: f"<html><body><p>{html.escape(text)}</p></body></html>",
    lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    lambda text: f"prompt={quote(text)}&x=1",
    lambda text: json.dumps({"msg": text})[:-3],  # cut
    lambda text: "x" * 7_950 + " " + text,  # on the edge of what is read
]


@pytest.mark.parametrize("kind", SECRETS)
@given(st.sampled_from(WRAPPINGS), st.text(max_size=20))
@example(str, "://")
@example(WRAPPINGS[1], ":\x00//")
@example(str, "BEARER")
def test_no_secret_is_left(kind: str, wrap: Callable[[str], str], around: str) -> None:
    secret, telling = SECRETS[kind]
    assume("webhooks" not in around and telling not in around)
    for said in (wrap(f"{around} {secret} {around}"), wrap(f'{around} "{secret}",')):
        left = scrub(said)
        assert telling not in left and "webhooks" not in left and "://" not in left


@given(st.text())
def test_anything_at_all_is_taken(said: str) -> None:
    assert len(scrub(said)) <= WORDS_CHARS_MAX


def test_what_helps_to_understand_stays() -> None:
    code = "InputImageSensitiveContentDetected.PrivacyInformation"
    body = json.dumps({"code": 500, "msg": f"{code}: the image may contain a person", "data": None})
    assert scrub(body) == body
    page = "<html>\r\n<head><title>502 Bad Gateway</title></head><center><h1>502</h1></center></html>"
    assert scrub(page) == "502 Bad Gateway 502"


def test_addresses_keys_and_length_are_cut() -> None:
    said = f"see https://tempfile.example.com/a/b.jpg?x=1 key sk-{'a1' * 20}\x00 " + "long " * 400
    assert scrub(said).startswith("see [url] key … long") and len(scrub(said)) <= WORDS_CHARS_MAX
