"""Verification as it is run: in processes, from a place on, page by page, from the command line."""

import json
import os
from pathlib import Path

import pytest

from events.envelope import Cursor
from ledger.checkpoints.store import hash_at
from projections.checkpoints import make_checkpoint
from projections.verify import hash_chain, log_walk, read_models
from projections.verify.run import Database, VerificationFailedError, verify, verify_on
from tests.integration.ledger.tampering import KEY, OTHER_KEY, UNGUARD, project, verified
from tests.integration.ledger.test_signing_commands import Desk
from tests.support.traffic import Traffic


@pytest.fixture
async def traffic(ledger, pool) -> Traffic:
    """Hundreds of events, with gifts and other things that come late, and projections at their end."""
    traffic = Traffic(ledger)
    await traffic.play(120)
    await project(pool)
    return traffic


def write_key(path: Path) -> None:
    path.write_text(KEY.reveal())
    path.chmod(0o600)


def auditor(url: str) -> Database:
    return Database(url, {"role": "neurocards_reader", "default_transaction_read_only": "on"})


async def test_the_walks_run_in_processes_of_their_own_as_the_auditor(traffic, owner, database_url: str):
    told: set[str] = set()
    report = await verify(auditor(database_url), progress=lambda stage, _: told.add(stage))
    assert report.problems == []
    assert report.events == report.head.position == await owner.fetchval("SELECT count(*) FROM events")
    await owner.execute(UNGUARD + "UPDATE events SET data = '{}' WHERE position = 5")
    again = await verify(auditor(database_url))
    found = [(p.kind, p.position) for p in again.problems]
    assert found[0] == ("edited", 5)
    assert ("unreadable", 5) in found
    assert found == [(p.kind, p.position) for p in (await verify_on(owner)).problems]


async def test_a_walk_that_cannot_be_finished_says_so(
    traffic, database_url: str, monkeypatch, tmp_path: Path
):
    """E.g. its process was killed for want of memory: that is no clean log."""
    (tmp_path / "uvloop.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", ""))))
    monkeypatch.setattr(
        "projections.engine.subprocess_task._ROOT", str(tmp_path) + os.pathsep + str(Path.cwd())
    )
    with pytest.raises(VerificationFailedError, match="without a result"):
        await verify(auditor(database_url))


async def test_an_emptied_column_is_not_a_clean_log(traffic, owner, database_url: str):
    await owner.execute(UNGUARD)
    await owner.execute("ALTER TABLE events ALTER COLUMN hash DROP NOT NULL")
    await owner.execute("UPDATE events SET hash = NULL WHERE position = 9")
    with pytest.raises(VerificationFailedError, match="no version of this program"):
        await verify(auditor(database_url))


@pytest.mark.parametrize("page", (1, 2, 7))
async def test_pages_of_any_size_find_the_same(traffic, owner, monkeypatch, page: int):
    for module in (hash_chain, log_walk, read_models):
        monkeypatch.setattr(module, "PAGE", page)
    monkeypatch.setattr(read_models, "_AT_ONCE", page)
    assert (await verify_on(owner)).problems == []
    await owner.execute(
        "UPDATE job_status_v1 SET worker = 'x' WHERE job = (SELECT min(job) FROM job_status_v1)"
    )
    assert [p.kind for p in (await verify_on(owner)).problems] == ["projection"]


async def test_rows_made_of_many_events_are_compared_too(traffic, owner):
    await owner.execute("UPDATE daily_v1 SET videos = videos + 1")
    await owner.execute("DELETE FROM lots_v1 WHERE lot_id = (SELECT min(lot_id) FROM lots_v1)")
    await owner.execute("INSERT INTO error_stats_v1 SELECT 'x', 0, 'm', 'c', 1, 0, '', '', 0, 1")
    found = sorted(p.message for p in (await verify_on(owner)).problems if p.kind == "projection")
    assert [message.split()[0] for message in found] == ["daily", "error_stats", "lots"]
    assert all("in 1 rows" in message for message in found)
    first = "(SELECT min(position) FROM events WHERE type = 'JobQueued')"
    await owner.execute(UNGUARD + f"UPDATE events SET data = '{{}}' WHERE position = {first}")
    report = await verify_on(owner)  # what days and errors should be is not known then
    kinds = {p.message.split()[0] for p in report.problems if p.kind == "projection"}
    assert "lots" in kinds and not kinds & {"daily", "error_stats"}


async def test_it_can_begin_anywhere(traffic, owner, pool):
    head = await owner.fetchval("SELECT max(position) FROM events")
    for position in range(1, head + 1, 7):
        after = Cursor(position, await hash_at(owner, position) or b"")
        report = await verified(owner, after=after)
        assert report.problems == [], position
        assert report.events == head - position


async def test_from_a_place_what_came_after_is_checked_and_what_was_before_is_trusted(traffic, owner):
    after = Cursor(50, await hash_at(owner, 50) or b"")
    await owner.execute(UNGUARD + "UPDATE events SET recorded_at_us = recorded_at_us - 1 WHERE position = 9")
    assert [p.kind for p in (await verify_on(owner, after=after)).problems] == ["guard", "guard"]
    await owner.execute("UPDATE events SET recorded_at_us = recorded_at_us - 1 WHERE position = 99")
    found = [(p.kind, p.position) for p in (await verify_on(owner, after=after)).problems]
    assert ("edited", 99) in found
    assert not any(position == 9 for _, position in found)
    await owner.execute("DELETE FROM events WHERE position >= 50")
    found = [(p.kind, p.position) for p in (await verify_on(owner, after=after)).problems]
    assert ("cut", 51) in found or ("cut", 50) in found, found


@pytest.fixture
async def desk(
    tmp_path: Path, database_url: str, traffic, ledger, pool, monkeypatch: pytest.MonkeyPatch
) -> Desk:
    """The commands, a signed checkpoint in `note`, public keys in `pub` and `other`, and events after it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("services.cli.connections.configure_command_logging", lambda *_: None)
    made = await make_checkpoint(ledger, KEY, program="0.1.0")
    assert made is not None
    write_key(tmp_path / "key")
    (tmp_path / "note").write_text(made.note)
    (tmp_path / "pub").write_text(str(KEY.public))
    (tmp_path / "other").write_text(str(OTHER_KEY.public))
    await traffic.play(10)
    await project(pool)
    return Desk(tmp_path, database_url)


async def test_the_command_is_silent_when_all_is_well(desk: Desk):
    await desk.clean("verify")
    await desk.clean("verify", "--public-key", "pub")
    await desk.clean("verify", "--from", "note", "-k", "pub")
    await desk.clean("verify", "--from", "note")  # the configured key's public half
    await desk.clean("verify", "--from", "40")


async def test_read_models_are_compared_unless_only_the_log_is_asked_for(desk: Desk, owner):
    await owner.execute("UPDATE balances_v1 SET balance = balance + 1")
    assert [row["kind"] for row in await desk.damaged("verify")] == ["projection"]
    await desk.clean("verify", "--log-only")


async def test_the_command_says_kind_and_place_and_ends_with_3(desk: Desk, owner):
    await owner.execute("ALTER TABLE events DISABLE TRIGGER ALL; DELETE FROM events WHERE position = 30")
    rows = await desk.damaged("verify")
    assert {"kind": "deleted", "position": 30, "message": "position 30 is missing"} in rows
    done = await desk("verify")
    assert "position 30 is missing" in done.stdout
    assert "problems found" in done.stderr


async def test_a_checkpoint_of_another_key_is_damage(desk: Desk):
    rows = await desk.damaged("verify", "-k", "other")
    assert [row["kind"] for row in rows] == ["checkpoint"]
    rows = await desk.damaged("verify", "--from", "note", "-k", "other")
    assert [row["kind"] for row in rows] == ["note"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "99999999"), "no position"),
        (("--from", "nothing", "-k", "pub"), "cannot be read"),
    ],
)
async def test_what_cannot_be_meant_is_a_usage_error(desk: Desk, arguments: tuple[str, ...], words: str):
    done = await desk("verify", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


async def test_a_log_without_events_is_clean(owner, tmp_path: Path, database_url: str):
    assert (await verify_on(owner)).problems == []
    write_key(tmp_path / "key")
    await Desk(tmp_path, database_url).clean("verify")


async def test_jobs_that_are_over_are_forgotten_and_what_comes_later_is_judged(owner, traffic):
    """A second end of a job that the walk has forgotten long ago, put in by hand."""
    stream = await owner.fetchval("SELECT stream FROM events WHERE type = 'JobSucceeded' LIMIT 1")
    version = 1 + await owner.fetchval("SELECT max(version) FROM events WHERE stream = $1", stream)
    await owner.execute(UNGUARD + "DROP INDEX events_one_end_per_job")
    await owner.execute(
        "INSERT INTO events SELECT position + 1, $1, $2, 'JobSucceeded', $3::text::json, 'forged', "
        "sha256('x'), 1, 'forger', recorded_at_us, sha256('z') FROM events ORDER BY position DESC LIMIT 1",
        stream,
        version,
        json.dumps({"run": 1, "submission": 1, "video": {"blob": "b", "sha256": "s", "size_bytes": 1}}),
    )
    found = {(p.kind, p.position) for p in (await verify_on(owner)).problems}
    head = await owner.fetchval("SELECT max(position) FROM events")
    assert {("inserted", head), ("outcome", head)} <= found, found
