"""Only the provider's own, fresh signature on this very task is good."""

from services.web.kie_webhook import SIGNATURE, TIMESTAMP, flaw_in, signature
from tests.support.each import each

KEY = b"the key from kie.ai/settings"
NOW_S = 1_769_670_760.0


def headers(task: str = "t1", at_s: float = NOW_S, key: bytes = KEY) -> dict[str, str]:
    timestamp = str(int(at_s))
    return {TIMESTAMP: timestamp, SIGNATURE: signature(key, task, timestamp)}


def test_the_signature_is_the_documented_one() -> None:
    # echo -n t1.1769670760 | openssl dgst -sha256 -hmac key -binary | base64
    assert signature(b"key", "t1", "1769670760") == "g8tTljyWCY4zaBgXiXZ1P2OFuBzQ+9h88KywWQQC7Xk="


@each("late_s", [0, 299, -299])
def test_a_good_one(late_s: float) -> None:
    assert flaw_in(KEY, "t1", headers(), NOW_S + late_s) is None


@each("late_s", [301, -301, 1e9])
def test_an_old_one_and_one_from_the_future(late_s: float) -> None:
    assert flaw_in(KEY, "t1", headers(), NOW_S + late_s) == "stale"


@each(
    "found",
    [
        headers(key=b"another key"),
        headers("t2"),
        headers() | {TIMESTAMP: str(int(NOW_S) + 1)},
        headers() | {SIGNATURE: headers()[SIGNATURE][:-2]},
        headers() | {SIGNATURE: "\udcff\u043a"},
    ],
)
def test_a_wrong_one(found: dict[str, str]) -> None:
    assert flaw_in(KEY, "t1", found, NOW_S) == "wrong"


@each(
    "found",
    [{}, {SIGNATURE: headers()[SIGNATURE]}, {TIMESTAMP: headers()[TIMESTAMP]}]
    + [headers() | {TIMESTAMP: odd} for odd in ("", "-1", "1e9", "nan", "9" * 13, "\u0661", "1769670760.5")],
)
def test_none_at_all(found: dict[str, str]) -> None:
    assert flaw_in(KEY, "t1", found, NOW_S) == "missing"


def test_a_call_about_no_task_cannot_be_signed() -> None:
    assert flaw_in(KEY, None, headers(), NOW_S) == "missing"
