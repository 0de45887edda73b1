"""What the import contracts of pyproject.toml cannot say: circles, laziness, purity of calls."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.each import each
from tests.support.source import parse

ROOT = Path(__file__).parents[2]
LAYERS = ("events", "ledger", "projections", "services")
SERVICES = sorted(
    path.parent.name for path in (ROOT / "services").glob("*/main.py") if path.parent.name != "cli"
)
PROCESSES = set(SERVICES) - {"sandbox"}
STARTERS = ("cli", "rehearsal")
"""May import processes, inside functions only: `neurocards --help` is fast."""

DECIDERS = (
    *(f"ledger/{name}" for name in ("accounts", "jobs", "payments", "promotions")),
    *(f"ledger/{name}.py" for name in ("decider", "commands", "log/hash_chain")),
)
EVENTS_MAY_IMPORT = {"msgspec"}
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


def eager_starts(path: Path) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for module, line in imports(path, top_level_only=True)
        if module.startswith("services.") and module.split(".")[1] in PROCESSES
    ]


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The first circle of the graph, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circular:
        return list(circular.args[1])
    return []


def test_who_starts_processes_imports_them_when_it_does() -> None:
    found = [line for name in STARTERS for path in modules(f"services/{name}") for line in eager_starts(path)]
    assert found == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports for the type checker and inside functions count."""
    names = {name_of(path) for path in modules(*LAYERS) if path.name != "__init__.py"}
    graph = {
        name_of(path): {module for module, _ in imports(path) if module in names} - {name_of(path)}
        for path in modules(*LAYERS)
    }
    assert circle(graph) == []


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
    """What no import shows. That nothing impure is imported, also not by what is imported, is a contract."""
    found = []
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            found.append(f"{path.relative_to(ROOT)}:{node.lineno} calls {node.func.id}")
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.Global | ast.Nonlocal):
            found.append(f"{path.relative_to(ROOT)}:{node.lineno} {type(node).__name__}")
    return found


def test_deciders_wait_for_nothing_and_reach_for_nothing() -> None:
    assert [line for path in decider_modules() for line in impurities(path)] == []


@each("service", SERVICES)
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
        ("services/cli/x.py", "from services.bot.main import serve", eager_starts, 2),
        ("services/cli/x.py", "def f():\n    from services.bot.main import serve", eager_starts, 0),
        ("ledger/accounts/decider.py", "async def f(): pass", impurities, 1),
        ("ledger/accounts/decider.py", "def f(): return open('x')", impurities, 1),
    ],
)  # fmt: skip
def test_these_tests_can_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str, source: str, check: object, caught: int
) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert callable(check)
    assert len(check(path)) == caught


def test_a_circle_is_found() -> None:
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}
