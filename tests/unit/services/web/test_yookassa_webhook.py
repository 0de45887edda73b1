"""From where a notification comes, and what is taken from it."""

import json

from services.web.yookassa_webhook import Notice, notice_in, source_of
from tests.support.each import each

OURS = "185.71.76.5"


@each(
    ("peer", "forwarded", "proxies", "source"),
    [
        (OURS, [], 0, OURS),
        ("9.9.9.9", [OURS], 0, "9.9.9.9"),  # nobody of ours wrote that header
        ("10.0.0.1", [OURS], 1, OURS),
        ("10.0.0.1", [f"{OURS}, 9.9.9.9"], 1, "9.9.9.9"),  # the left one is the sender's own word
        ("10.0.0.1", [f"9.9.9.9, {OURS}"], 1, OURS),
        ("10.0.0.1", [OURS, "9.9.9.9"], 1, "9.9.9.9"),  # the same in two headers
        ("10.0.0.1", [f"1.1.1.1, {OURS}, 10.0.0.2"], 2, OURS),
        ("10.0.0.1", [OURS], 2, None),  # a proxy is missing: came in by another door
        ("10.0.0.1", [], 1, None),
        ("10.0.0.1", ["unknown"], 1, None),
        ("10.0.0.1", [""], 1, None),
        ("10.0.0.1", [f"{OURS}:51234"], 1, OURS),
        ("10.0.0.1", ["[2a02:5180::1]:443"], 1, "2a02:5180::1"),
        (f"::ffff:{OURS}", [], 0, OURS),
        (None, [OURS], 0, None),
    ],
)
def test_the_source_is_what_our_own_proxies_say(peer, forwarded, proxies, source) -> None:
    found = source_of(peer, forwarded, proxies)
    assert (str(found) if found else None) == source


@each(
    ("event", "kind"),
    [
        ("payment.succeeded", "payment"),
        ("payment.canceled", "payment"),
        ("refund.succeeded", "refund"),
        ("payment_method.active", "payment_method"),
        ("nonsense.happened", None),
        ("", None),
        (7, None),
    ],
)
def test_the_kind_of_object(event, kind) -> None:
    body = {"type": "notification", "event": event, "object": {"id": "2d7e5f1a-000f", "paid": True}}
    notice = notice_in(json.dumps(body).encode())
    paid = event == "payment.succeeded"
    assert notice == (Notice(kind, "2d7e5f1a-000f", paid) if kind else None)


@each(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff", b'{"event": "payment.succeeded"}', b"[" * 50_000,
     b'{"event": "payment.succeeded", "object": {"id": "../me"}}',
     b'{"event": "payment.succeeded", "object": {"id": ""}}',
     b'{"event": "payment.succeeded", "object": {"id": ["x"]}}',
     b'{"event": "payment.succeeded", "object": "x"}'],
)  # fmt: skip
def test_what_is_no_notification(body: bytes) -> None:
    assert notice_in(body) is None
