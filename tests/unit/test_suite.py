"""The tests stand where what they test stands, and what we say that we use is used."""

import ast
import tomllib
from pathlib import Path

import pytest

from tests.support.each import each
from tests.support.source import parse

ROOT = Path(__file__).parents[2]
TREES = ("tests/unit", "tests/integration")

WHOLE = {"tests/unit", "tests/integration", "tests/integration/suite"}
"""Folders whose tests are about the repository, or about the suite itself."""
SPANNING = {
    "events": "golden",
    "ledger": "invariants",
    "ledger/jobs": "dead_letters diagram",
    "ledger/payments": "accepted diagram refund_lots refund_model refund_parts restored",
    "projections/models": "books statistics",
    "projections/verify": "independence",
    "services/adapters/kie": "broken_download sentences",
    "services/bot": "model_offer photo_limits",
    "services/bot/handlers": "all traps",
    "services/cli": "manners",
    "services/dashboard": "locales vendored",
    "services/monitor": "postgres_alone",
    "services/platform": "cancellation postgres_away",
    "services/rehearsal": "refusal",
    "services/sandbox/kie": "control create faults results",
    "services/sandbox/openai": "openai",
    "services/sandbox/telegram": "buttons_and_money restart wire",
    "services/sandbox/yookassa": "sdk",
    "services/web": "signatures",
}
"""Unit tests of what spans several modules of a package."""


def mirrors_nothing(tree: str) -> list[str]:
    """Tests in a folder that is nothing of ours; in `tests/unit`, with a name that no module there has."""
    found = []
    for path in sorted((ROOT / tree).rglob("test_*.py")):
        folder, name = path.parent.relative_to(ROOT / tree), path.stem.removeprefix("test_")
        mirrored = _is_ours(folder / name) or name in SPANNING.get(str(folder), "").split()
        right = _is_ours(folder) and (mirrored or tree != "tests/unit")
        if not right and str(path.parent.relative_to(ROOT)) not in WHOLE:
            found.append(str(path.relative_to(ROOT)))
    return found


def _is_ours(module: Path) -> bool:
    return (ROOT / module).is_dir() or (ROOT / module).with_suffix(".py").exists()


@pytest.mark.parametrize("tree", TREES)
def test_each_test_stands_where_its_subject_stands(tree: str) -> None:
    assert mirrors_nothing(tree) == []


PRODUCT, TESTS = ("events", "ledger", "projections", "services"), ("tests",)
USED_BY = {
    "aiogram": PRODUCT,
    "asyncpg": PRODUCT,
    "fakeredis": TESTS,
    "httpx": PRODUCT,
    "msgspec": PRODUCT,
    "openai": PRODUCT,
    "pytest": TESTS,
    "redis": PRODUCT,
    "yookassa": PRODUCT,
}


def user_of(package: str, folders: tuple[str, ...]) -> Path | None:
    """A module that imports it and names something of it afterwards."""
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            if package not in path.read_text("utf-8"):
                continue
            tree = parse(path)
            bound = {
                (alias.asname or alias.name).partition(".")[0]
                for node in ast.walk(tree)
                if isinstance(node, ast.Import | ast.ImportFrom)
                for alias in node.names
                if (getattr(node, "module", None) or alias.name).partition(".")[0] == package
            }
            if bound & {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}:
                return path
    return None


@each("package", sorted(USED_BY))
def test_what_we_say_that_we_use_is_used(package: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = project["dependencies"], project["optional-dependencies"]["dev"]
    assert any(line.startswith(package) for lines in pinned for line in lines)
    assert user_of(package, USED_BY[package])


def test_these_tests_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.test_suite.ROOT", tmp_path)
    for name in ("ledger/jobs.py", "tests/unit/ledger/test_jobs.py", "tests/unit/ledger/test_job.py",
                 "tests/unit/ledgers/test_jobs.py", "tests/unit/test_house.py"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("import redis\n")
    assert mirrors_nothing("tests/unit") == [
        "tests/unit/ledger/test_job.py",
        "tests/unit/ledgers/test_jobs.py",
    ]
    assert user_of("redis", ("ledger",)) is None
    (tmp_path / "ledger/user.py").write_text("from redis import asyncio\nasyncio.Redis()\n")
    assert user_of("redis", ("ledger",)) == tmp_path / "ledger/user.py"
