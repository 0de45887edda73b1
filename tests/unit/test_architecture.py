"""Imports point one way, services meet only through events, and deciders depend on their input alone."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.source import parse

ROOT = Path(__file__).parents[2]
LAYERS = ("events", "ledger", "projections", "services")
PROCESSES = ("bot", "worker", "relay", "projector", "notifier", "monitor", "maintenance", "web")
SERVICE_LAYERS: tuple[tuple[frozenset[str], ...], ...] = (
    (frozenset({"platform", "migrations"}),),
    (frozenset({"streams"}), frozenset({"accounts"}), frozenset({"generation"})),
    (frozenset({"adapters"}),),
    (frozenset({"payments"}), frozenset({"recovery"})),
    (
        *(frozenset({name}) for name in PROCESSES[:5]),
        frozenset({"monitor", "maintenance"}),
        frozenset({"web"}),
    ),
    (frozenset({"local", "backup"}),),
    (frozenset({"cli", "rehearsal"}),),
)
"""From the bottom up. Packages of one set may import each other, those of two sets of one layer may not."""
STARTERS = {"cli", "rehearsal"}
"""May import processes, inside functions only."""

SERVICES = sorted(
    path.parent.name for path in (ROOT / "services").glob("*/main.py") if path.parent.name != "cli"
)

DECIDERS = (
    *(f"ledger/{name}" for name in ("accounts", "jobs", "payments", "promotions")),
    *(f"ledger/{name}.py" for name in ("decider", "commands", "log/hash_chain")),
)
EVENTS_MAY_IMPORT = {"msgspec"}
IMPURE = {
    "asyncio", "asyncpg", "aiohttp", "contextvars", "datetime", "httpx", "io", "logging", "multiprocessing",
    "os", "pathlib", "random", "redis", "secrets", "selectors", "shutil", "signal", "socket", "sqlite3",
    "ssl", "structlog", "subprocess", "tempfile", "threading", "time", "urllib", "uuid", "uvloop", "zoneinfo",
}  # fmt: skip
IMPURE_CALLS = {"open", "input", "print", "eval", "exec", "compile", "__import__"}


def modules(*tops: str) -> list[Path]:
    return sorted(path for top in tops for path in (ROOT / top).rglob("*.py"))


def name_of(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path, *, top_level_only: bool = False) -> tuple[tuple[str, int], ...]:
    """Every module a file imports, absolute, with its line; what is for the type checker only counts too."""
    return tuple(_imports(path, top_level_only))


def _imports(path: Path, top_level_only: bool) -> Iterator[tuple[str, int]]:
    tree = parse(path)
    package = name_of(path).split(".") if path.name == "__init__.py" else name_of(path).split(".")[:-1]
    for node in _walk(tree, into_functions=not top_level_only):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield module, node.lineno
            for alias in node.names:  # `from services import relay` imports services.relay
                yield f"{module}.{alias.name}", node.lineno
        elif isinstance(node, ast.Call) and _is_import_call(node):
            yield str(node.args[0].value), node.lineno  # type: ignore[attr-defined]


def _walk(tree: ast.AST, *, into_functions: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(tree):
        yield child
        if into_functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _walk(child, into_functions=into_functions)


def _is_import_call(node: ast.Call) -> bool:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    literal = (
        bool(node.args) and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
    )
    return name in ("import_module", "__import__") and literal


def service_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "services" and len(parts) > 1 else None


def broken_direction(path: Path) -> list[str]:
    own = LAYERS.index(path.relative_to(ROOT).parts[0])
    return [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for module, line in imports(path)
        if module.split(".")[0] in (*LAYERS[own + 1 :], "tests")
    ]


def layer_of(service: str) -> int:
    """Its place in SERVICE_LAYERS; what is in none (the sandbox) stands below and above everything."""
    places = (n for n, layer in enumerate(SERVICE_LAYERS) for names in layer if service in names)
    return next(places, -1)


def broken_separation(path: Path) -> list[str]:
    own = service_of(name_of(path))
    found = []
    for module, line in imports(path):
        other = service_of(module)
        if own is None or other is None or other == own or not (ROOT / "services" / other).is_dir():
            continue
        together = any({own, other} <= names for layer in SERVICE_LAYERS for names in layer)
        below = layer_of(other) < layer_of(own) or own == "sandbox"
        if not (together or below):
            found.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    if own in STARTERS:
        found += [
            f"{path.relative_to(ROOT)}:{line} imports {module}"
            for module, line in imports(path, top_level_only=True)
            if service_of(module) in PROCESSES
        ]
    return found


def test_imports_point_from_services_to_events_only() -> None:
    assert [line for path in modules(*LAYERS) for line in broken_direction(path)] == []


def test_services_import_what_is_below_them_and_not_each_other() -> None:
    assert [line for path in modules("services") for line in broken_separation(path)] == []


def test_every_package_of_the_services_has_its_layer() -> None:
    found = {path.parent.name for path in (ROOT / "services").glob("*/__init__.py")}
    assert found - {"sandbox"} == {n for layer in SERVICE_LAYERS for names in layer for n in names}


def test_nobody_imports_the_sandbox() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules(*LAYERS)
        if "sandbox" not in path.relative_to(ROOT).parts
        for module, line in imports(path)
        if module.startswith("services.sandbox")
    ]
    assert found == []


def test_events_need_msgspec_and_the_standard_library_only() -> None:
    allowed = EVENTS_MAY_IMPORT | {"events"} | sys.stdlib_module_names
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in modules("events")
        for module, line in imports(path)
        if module.split(".")[0] not in allowed
    ]
    assert found == []


def decider_modules() -> list[Path]:
    found = []
    for entry in DECIDERS:
        path = ROOT / entry
        found += sorted(path.rglob("*.py")) if path.is_dir() else [path] if path.exists() else []
    return found


def impurities(path: Path) -> list[str]:
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for module, line in imports(path)
        if module.split(".")[0] in IMPURE
    ]
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            found.append(f"{path.relative_to(ROOT)}:{node.lineno} calls {node.func.id}")
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.Global | ast.Nonlocal):
            found.append(f"{path.relative_to(ROOT)}:{node.lineno} {type(node).__name__}")
    return found


def test_deciders_have_no_clock_no_randomness_and_no_io() -> None:
    assert [line for path in decider_modules() for line in impurities(path)] == []


def test_deciders_reach_nothing_impure_through_what_they_import() -> None:
    """Everything of ours that a decider imports, and what that imports, is as pure as the decider."""
    reached = reached_from(decider_modules())
    assert [line for path in sorted(reached) for line in impurities(path)] == []


@pytest.mark.parametrize("service", SERVICES)
def test_whoever_speaks_to_telegram_lets_its_models_be_built_when_used(service: str) -> None:
    """Else its start takes three seconds longer. See services/adapters/telegram/lazy_models.py."""
    package = ROOT / "services" / service
    reached = reached_from([package / "main.py"], top_level_only=True)
    speaks = any(
        module.partition(".")[0] == "aiogram"
        for path in reached
        for module, _ in imports(path, top_level_only=True)
    )
    assert speaks == ("build_when_used()" in (package / "__init__.py").read_text("utf-8"))


def reached_from(waiting: list[Path], *, top_level_only: bool = False) -> set[Path]:
    """These modules of ours, and everything of ours that they import."""
    seen = set[Path]()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for module, _ in imports(path, top_level_only=top_level_only):
            for candidate in (
                (ROOT / Path(*module.split("."))).with_suffix(".py"),
                ROOT / Path(*module.split(".")),
            ):
                file = candidate / "__init__.py" if candidate.is_dir() else candidate
                if module.split(".")[0] in LAYERS and file.is_file():
                    waiting.append(file)
    return seen


def test_the_deciders_are_where_this_test_looks() -> None:
    found = {path.relative_to(ROOT).as_posix() for path in decider_modules()}
    assert {"ledger/accounts/decider.py", "ledger/jobs/decider.py", "ledger/decider.py"} <= found


@pytest.mark.parametrize(
    ("file", "source", "check", "caught"),
    [
        ("events/x.py", "import ledger.log.ledger", broken_direction, 1),
        ("ledger/x.py", "def f():\n    from projections import balances", broken_direction, 2),
        ("ledger/x.py", "from events import codec", broken_direction, 0),
        ("services/relay/x.py", "from services import worker", broken_separation, 1),
        ("services/relay/x.py", "from importlib import import_module\nimport_module('services.bot')",
         broken_separation, 1),
        ("services/relay/x.py", "from services.platform import logs", broken_separation, 0),
        ("services/platform/x.py", "from services.adapters import kie", broken_separation, 2),
        ("services/cli/x.py", "from services.bot.main import serve", broken_separation, 2),
        ("services/cli/x.py", "def f():\n    from services.bot.main import serve", broken_separation, 0),
        ("ledger/accounts/decider.py", "from datetime import datetime", impurities, 2),
        ("ledger/accounts/decider.py", "async def f(): pass", impurities, 1),
        ("ledger/accounts/decider.py", "def f(): return open('x')", impurities, 1),
    ],
)  # fmt: skip
def test_these_tests_can_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str, source: str, check: object, caught: int
) -> None:
    for name in ("relay", "worker", "bot", "cli", "platform", "adapters"):
        (tmp_path / "services" / name).mkdir(parents=True)
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert callable(check)
    assert len(check(path)) == caught
