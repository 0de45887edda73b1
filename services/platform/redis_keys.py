"""Redis keys: owner, and cost of losing each. Never money, a job or a message.

All keys share one hash tag, so that they lie on one node of a cluster and one script can write several.

| key | owner | when it is lost |
|---|---|---|
| `ledger`, `jobs`, `epoch` | relay | it makes them anew from Postgres within seconds; readers use Postgres |
| `ledger:new:…` | `neurocards replay` | the rebuild of the stream starts again; it expires by itself |
| `seat:<group>:<consumer>` | the consumer in it | taken again at the next renewal |
| `wake` (a channel) | whoever has news of a job | seconds: workers also look by themselves |
| `kie:waiting`, `seen`, `tags`, `virtual` | provider limits | submissions queue again, in another order |
| `kie:made:…`, `kie:reads:…` of an account | provider limits | a call too many, refused and repeated |
| `kie:flight:<user>` | provider limits | for a while one user renders more videos at once |
| `kie:resting` | provider limits | an account with trouble is tried too early, and rests again |
| `kie:balances` | maintenance | operators see no balances until the next round reads them |
| `primary` | whoever appends | it is told again within seconds |
| `primary:refused` | whoever appends | an alert ends early |
| `doctor:<nonce>` | `neurocards doctor` | nothing: it tries whether a stream works; gone in a minute |
| `telegram:all`, `telegram:chat:<chat>` | Telegram limits | a message too many, which Telegram puts off |
"""

from typing import Final

PREFIX: Final = "{neurocards}:"

LEDGER: Final = PREFIX + "ledger"
"""Every event under the ID `<position>-0`."""
JOBS: Final = PREFIX + "jobs"
"""What generation acts on, under the same IDs."""
EPOCH: Final = PREFIX + "epoch"
"""A number that grows whenever the streams are made anew."""
WAKE_CHANNEL: Final = PREFIX + "wake"

PRIMARY: Final = PREFIX + "primary"
"""`<system identifier>:<timeline>` of the primary that leads."""
PRIMARY_REFUSED: Final = PREFIX + "primary:refused"
"""Who followed an older one last."""

_KIE: Final = PREFIX + "kie:"
KIE_WAITING: Final = _KIE + "waiting"
KIE_SEEN: Final = _KIE + "seen"
KIE_TAGS: Final = _KIE + "tags"
KIE_VIRTUAL: Final = _KIE + "virtual"
KIE_RESTING: Final = _KIE + "resting"
KIE_BALANCES: Final = _KIE + "balances"

TELEGRAM_ALL: Final = PREFIX + "telegram:all"


def ledger_copy(name: str) -> str:
    return f"{LEDGER}:new:{name}"


def seat_key(group: str, consumer: str) -> str:
    return f"{PREFIX}seat:{group}:{consumer}"


def doctor_key(nonce: str) -> str:
    return f"{PREFIX}doctor:{nonce}"


def kie_in_flight(user: str) -> str:
    return f"{_KIE}flight:{user}"


def kie_made(account: str) -> str:
    return f"{_KIE}made:{account}"


def kie_reads(lane: str) -> str:
    return f"{_KIE}reads:{lane}"


def telegram_chat(chat_id: int) -> str:
    return f"{PREFIX}telegram:chat:{chat_id}"
