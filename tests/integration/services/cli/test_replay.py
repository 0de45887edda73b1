"""Read models made anew from the command line: from Postgres, from the stream, as of an earlier moment."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from ledger.log.ledger import Ledger
from projections.engine.registry import PROJECTIONS
from projections.engine.state_root import build
from services.cli.commands.replay import actions as replaying
from services.platform.redis_keys import LEDGER
from services.streams.entries import encode_entry, entry_id
from services.streams.publisher.rebuild import Rebuild
from services.streams.publisher.scripts import Scripts
from tests.integration.projections.conftest import bring_up, versions
from tests.integration.services.cli.conftest import Done, Run
from tests.support.each import each
from tests.support.state_roots import state_root
from tests.support.traffic import Traffic

WHO = ("--reason", "to see")

Replay = Callable[..., Awaitable[Done]]


@pytest.fixture
async def replay(run: Run, redis_url: str, traffic: Traffic, pool, monkeypatch: pytest.MonkeyPatch) -> Replay:
    """Runs `neurocards replay …` on a log of some orders, which every projection has applied."""
    monkeypatch.setattr(replaying, "_make_way", lambda: None)  # it would be this process that makes way
    await traffic.play(40)
    for name in PROJECTIONS:
        await bring_up(pool, name)

    async def one(*words: str) -> Done:
        return await asyncio.to_thread(lambda: run("replay", *words, "-o", "json", REDIS_URL=redis_url))

    return one


async def test_live_and_rebuilt_from_postgres_and_from_the_stream_have_the_same_roots(
    replay: Replay, ledger: Ledger, pool, redis: Redis, owner
):
    live = {name: (await state_root(pool, name)).root for name in PROJECTIONS}
    await Rebuild(pool, Scripts(redis, ledger_entries_max=1000), entries=50, reach_back=0).run()
    head = (await ledger.read.head()).position
    gap = await redis.xdel(LEDGER, entry_id(head - 20), entry_id(head))

    from_log = await replay("all")
    from_stream = await replay("all", "--from-stream", "--check")

    assert (from_log.code, from_stream.code) == (0, 0), from_log.err + from_stream.err
    for done, outcome in ((from_log, "swapped in"), (from_stream, "same")):
        assert {row["projection"]: row["root"] for row in done.rows} == live
        assert all(row["live_root"] == row["root"] and row["outcome"] == outcome for row in done.rows)
    assert f"{50 - gap} events from the stream, {head - 50 + gap} from Postgres" in from_stream.err
    assert await versions(owner, "balances") == [(2, True)]


async def test_a_stream_that_is_not_the_log_is_refused(replay: Replay, ledger: Ledger, redis: Redis, owner):
    events = await ledger.read.events_after(0, 30)
    wrong = [*events[:-1], replace(events[-1], data=events[-1].data.replace(":", ": ", 1))]
    for event in wrong:
        await redis.xadd(LEDGER, {"event": encode_entry(event)}, id=entry_id(event.position))

    done = await replay("balances", "--from-stream")

    assert done.code == 3 and "the hash at position 30 does not follow" in done.err
    assert await versions(owner, "balances") == [(1, True)]


async def test_a_difference_is_shown_and_replaced_only_by_somebody_with_a_reason(replay: Replay, pool, owner):
    right = await state_root(pool, "balances")
    await owner.execute("UPDATE balances_v1 SET balance = 99 WHERE account = 'a1'")

    found = await replay("balances", "payments")
    assert found.code == 3
    balances, payments = found.rows
    assert (balances["outcome"], payments["outcome"]) == ("differs", "swapped in")
    assert [(row["key"], row["column"], row["live"]) for row in balances["differences"]] == [
        ("a1", "balance", 99)
    ]
    assert balances["root"] == right.root != balances["live_root"]

    assert (await replay("balances", "--accept-difference")).code == 2
    unsure = await replay("balances", "--accept-difference", *WHO)
    assert unsure.code == 2 and "a1, balance: 99 becomes" in unsure.err and "--yes" in unsure.err
    assert (await replay("balances", "--accept-difference", *WHO, "--yes", "--dry-run")).code == 3
    assert await versions(owner, "balances") == [(1, True)]
    assert (await replay("balances", "--accept-difference", *WHO, "--yes")).code == 0
    assert (await state_root(pool, "balances")).root == right.root


async def test_what_was_believed_then_goes_into_a_schema_or_files(
    replay: Replay, ledger: Ledger, pool, owner, tmp_path: Path
):
    events = await ledger.read.events_after(29)
    time_us = next(
        event.recorded_at_us for event in events if event.recorded_at_us > events[0].recorded_at_us
    )
    position = max(event.position for event in events if event.recorded_at_us < time_us)
    then, rows = await build(ledger.read, "balances", position)
    live = await state_root(pool, "balances")

    done = await replay("all", "--to", str(position), "--into", str(tmp_path / "then"))
    assert {row["projection"]: row["root"] for row in done.rows}["balances"] == then.root
    lines = (tmp_path / "then" / "balances.jsonl").read_text().splitlines()
    assert [json.loads(line)["account"] for line in lines] == sorted(rows)
    assert {path.stem for path in (tmp_path / "then").iterdir()} == {*PROJECTIONS}
    assert (await replay("all", "--to", str(position), "--into", str(tmp_path / "then"))).code == 1

    at = await owner.fetchval("SELECT audit.to_time($1)", time_us)
    done = await replay("balances", "--to", at.isoformat(), "--into", "schema:then")
    assert (done.rows[0]["position"], done.rows[0]["root"]) == (position, then.root)
    found = await owner.fetch('SELECT account, balance FROM "then".balances ORDER BY account')
    assert {row["account"]: row["balance"] for row in found} == {k: row.balance for k, row in rows.items()}
    again = await replay("balances", "--to", "3", "--into", "schema:then")
    assert again.code == 1 and "there already" in again.err
    assert (await state_root(pool, "balances")) == live


@each(
    ("words", "said"),
    [
        (("balance",), "balances"),
        (("all", "--into", "x"), "--to"),
        (("all", "--to", "3", "--check"), "aside"),
        (("all", "--to", "3", "--into", "schema:public"), "public"),
    ],
)
def test_what_makes_no_sense_is_a_wrong_usage(run: Run, words: tuple[str, ...], said: str):
    done = run("replay", *words)
    assert done.code == 2 and said in done.err
