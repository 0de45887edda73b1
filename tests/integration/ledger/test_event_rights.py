"""Which login may append which event, asked of the database itself, against a table that people have read.

`NEUROCARDS_WRITE_GOLDEN=1` writes the table anew.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import asyncpg
import pytest

from events.account import GrantKind, RevokeKind
from events.codec import EVENT_TYPES
from events.job import FailedBy
from events.system import Cap
from tests.integration.ledger.test_door import APPENDING, OTHERS, login
from tests.support.hand_made import Made, append

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

__all__ = ["login"]

GOLDEN: Final = Path(__file__).parents[2] / "golden" / "event_rights.txt"
LOGINS: Final = (*APPENDING, *OTHERS)

KINDS: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "CreditsGranted": {kind: {"kind": kind} for kind in (*get_args(GrantKind), "?")},
    "CreditsRevoked": {kind: {"kind": kind} for kind in (*get_args(RevokeKind), "?")},
    "JobFailed": {by: {"by": by} for by in (*get_args(FailedBy), "?")},
    "PaymentOrdered": {"": {}, "restored": {"restored": True}},
    "DayCapChecked": {cap: {"cap": cap} for cap in (*get_args(Cap), "?")},
}
"""What tells apart events of one type, with data that has it; `?` is no kind."""


def stream_of(type_name: str) -> str:
    module = EVENT_TYPES[type_name].__module__.rpartition(".")[2]
    return {"account": "account-x", "job": "job-x", "payment": "payment-x", "system": "system-x"}.get(
        module, "promo-X"
    )


async def allowed(connection: "Connection", stream: str, type_name: str, data: dict[str, Any]) -> bool:
    """Whether the door takes it from this login; that it contradicts itself is another question."""
    turn = connection.transaction()
    await turn.start()
    try:
        await append(connection, [(stream, type_name, data)])
    except asyncpg.InsufficientPrivilegeError:
        return False
    except (asyncpg.CheckViolationError, asyncpg.NotNullViolationError):
        return True
    finally:
        await turn.rollback()
    return True


@pytest.mark.timeout(120)
async def test_the_rights_are_those_that_are_written_down(login):
    connections = [await login(name) for name in LOGINS]
    lines = [" ".join(["event".ljust(32), *(name.ljust(max(len(name), 3)) for name in LOGINS)]).rstrip()]
    for type_name in EVENT_TYPES:
        for kind, data in KINDS.get(type_name, {"": {}}).items():
            cells = [f"{type_name} {kind}".rstrip().ljust(32)]
            for name, connection in zip(LOGINS, connections, strict=True):
                may = await allowed(connection, stream_of(type_name), type_name, data)
                cells.append(("yes" if may else "no").ljust(max(len(name), 3)))
            lines.append(" ".join(cells).rstrip())
    table = "\n".join(lines) + "\n"
    if os.environ.get("NEUROCARDS_WRITE_GOLDEN"):
        GOLDEN.write_text(table)
    assert table == GOLDEN.read_text()


@pytest.mark.parametrize(
    ("stream", "type_name", "data"),
    [
        ("job-x", "AccountOpened", {}),
        ("account-x", "JobStarted", {}),
        ("accountx", "AccountOpened", {}),
        ("payment-x", "JobFailed", {"by": "operator"}),
        ("system-x", "AccountOpened", {}),
        ("account-x", "Unheard", {}),
        ("account-x", "CreditsGranted", {}),
        ("job-x", "JobFailed", {"by": None}),
        ("account-x", "CreditsGranted", {"kind": ["manual"]}),
    ],
)
async def test_an_event_stands_in_a_stream_of_its_kind_and_is_of_one(login, stream, type_name, data):
    assert not await allowed(await login("operator"), stream, type_name, data)


async def test_a_kind_that_is_written_twice_is_the_one_that_everybody_reads(owner, login):
    """JSON lets a name stand twice: what is judged has to be what is folded, which is the last."""
    web = await login("web")
    twice = '{"kind":"purchase","kind":"manual","amount":5,"reason":"x","lot":1}'
    with pytest.raises(asyncpg.PostgresError):
        await append(web, [("account-x", "CreditsGranted", {})], p_data=twice)
    assert await owner.fetchval("SELECT count(*) FROM events") == 0


async def test_the_writer_is_the_login_whatever_role_it_takes(owner, login):
    made: list[Made] = [("account-x", "AccountOpened", {}), ("account-x", "TermsAccepted", {})]
    assert (await append(await login("bot"), made))["position"] == 2
    await owner.execute("SET ROLE postgres")
    assert (await append(owner, [("account-y", "AccountOpened", {})]))["position"] == 3
    writers = await owner.fetch("SELECT writer FROM events ORDER BY position")
    assert [row["writer"] for row in writers] == ["neurocards_bot", None, "neurocards_operator"]


@pytest.mark.parametrize("name", APPENDING)
async def test_who_acts_is_the_login_that_was_let_in_however_another_is_written(login, name):
    connection = await login(name)
    mine = f'"login:neurocards_{name}"'
    other = '"login:neurocards_bot"' if name == "operator" else '"login:neurocards_operator"'
    forged = (
        f'{{"actor":{other}}}',
        f'{{"actor" : {other}}}',
        f'{{"\\u0061ctor":{other}}}',
        f'{{"actor":{other}}}'.replace("login", "\\u006cogin"),
        f'{{"actor":{mine},"actor":{other}}}',
        f'{{"actor":{mine.replace("neuro", "NEURO")}}}',
    )
    for data in forged:
        assert (await connection.fetchval("SELECT $1::json ->> 'actor'", data)).startswith("login:")
        with pytest.raises(
            asyncpg.InsufficientPrivilegeError, match="may not append SystemStarted as login:"
        ):
            await append(connection, [("system-x", "SystemStarted", {})], p_data=data)
    for data in (f'{{"actor":{mine}}}', f'{{"reason":{other}}}', f'{{"actor":{other},"actor":{mine}}}'):
        answer = await append(connection, [("system-x", "SystemStarted", {})], p_data=data)
        assert answer["outcome"] == "ok"
