"""This program's next version: a copy of the source with two event types more, made by changing its text.

A worker of it writes `JobNoted` with each start of a job, a bot `AccountNoted` with each order. Both are
folded, and allowed by a migration of its own; the read model `job_status` shows the job's.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support import fork_server
from tests.support.services import ROOT, Version

SOURCE: Final = ("events", "ledger", "projections", "services", "tests")
CHANGED: Final = ("events", "ledger", "projections")
NOTE: Final = "by the next version"
MIGRATION: Final = "0003_noted.sql"
_RIGHTS: Final = """\
INSERT INTO ledger.event_rights (stream, type, kind, waits, roles) VALUES
    ('account-', 'AccountNoted', '', false, '{neurocards_operator,neurocards_bot}'),
    ('job-', 'JobNoted', '', false, '{neurocards_operator,neurocards_worker}');
"""
_EXPECTED: Final = """\
right to append AccountNoted | in=account- | roles=neurocards_operator, neurocards_bot
right to append JobNoted | in=job- | roles=neurocards_operator, neurocards_worker
migration ledger.migrations/0003_noted.sql
"""
_CLASS: Final = '''\
class {name}(msgspec.Struct, frozen=True):
    """What only the next version knows."""

    stage = "{stage}"
    words = "noted {{note}}"
    note: str


'''
_FIELD: Final = '    broken: str = ""\n'
_FOLD: Final = "            return replace(state, notes=state.notes + 1)\n        case _ as never:\n"
_CHANGES: Final = (
    ("events/job.py", "JobEvent = (\n    JobQueued\n", "JobEvent = (\n    JobNoted\n    | JobQueued\n"),
    ("events/job.py", "JobEvent = (\n", _CLASS.format(name="JobNoted", stage="attempt") + "JobEvent = (\n"),
    ("events/account.py", "AccountEvent = (\n", "AccountEvent = (\n    AccountNoted |\n"),
    (
        "events/account.py",
        "CreditEvent = (\n",
        _CLASS.format(name="AccountNoted", stage="account") + "CreditEvent = (\n",
    ),
    ("ledger/jobs/state.py", _FIELD, f"{_FIELD}    notes: int = 0\n"),
    ("ledger/jobs/state.py", "        case _ as never:\n", f"        case job.JobNoted():\n{_FOLD}"),
    (
        "ledger/jobs/decider.py",
        "    return [(job_stream(command.job), job.JobStarted(command.run, command.worker))]\n",
        "    stream = job_stream(command.job)\n"
        "    started = job.JobStarted(command.run, command.worker)\n"
        f'    return [(stream, started), (stream, job.JobNoted("{NOTE}"))]\n',
    ),
    ("ledger/accounts/state.py", _FIELD, f"{_FIELD}    notes: int = 0\n"),
    (
        "ledger/accounts/state.py",
        "        case _ as never:\n",
        f"        case account.AccountNoted():\n{_FOLD}",
    ),
    ("ledger/accounts/decider.py", "    AccountForgotten,\n", "    AccountForgotten,\n    AccountNoted,\n"),
    (
        "ledger/accounts/decider.py",
        "    for number, job in enumerate(command.jobs, start=1):\n",
        f'    made.append((stream, AccountNoted("{NOTE}")))\n'
        "    for number, job in enumerate(command.jobs, start=1):\n",
    ),
    (
        "projections/models/balances.py",
        "        case account.InvitationRewarded():\n",
        "        case account.InvitationRewarded() | account.AccountNoted():\n",
    ),
    (
        "projections/models/job_status.py",
        "    job.JobStarted: _started,\n",
        "    job.JobNoted: lambda row, _, event: setattr(row, 'worker', event.note),\n"
        "    job.JobStarted: _started,\n",
    ),
)


@contextmanager
def newer_version(folder: Path) -> Iterator[Version]:
    """Makes it, with a fork server of its own."""
    make(folder / "next")
    socket = folder / "next-version"
    server = fork_server.serve(socket, os.getpid(), folder / "next")
    try:
        yield Version(folder / "next", socket)
    finally:
        server.kill()
        server.wait()


def make(root: Path) -> None:
    root.mkdir()
    for package in SOURCE:
        if package in CHANGED:
            shutil.copytree(ROOT / package, root / package)
        else:
            (root / package).symlink_to(ROOT / package)
    for name, before, after in _CHANGES:
        text = (root / name).read_text("utf-8")
        assert text.count(before) == 1, f"{name} has {text.count(before)} times {before!r}"
        (root / name).write_text(text.replace(before, after), "utf-8")
    (root / "ledger" / "migrations" / MIGRATION).write_text(_RIGHTS, "utf-8")
    with (root / "projections" / "verify" / "expected_schema.txt").open("a", encoding="utf-8") as expected:
        expected.write(_EXPECTED)
