"""Every key has the hash tag, is told of in one place, and is spelled nowhere else."""

import inspect
from pathlib import Path

from services.platform import redis_keys

ROOT = Path(__file__).parents[4]
PRODUCT = ("events", "ledger", "projections", "services")


def keys() -> dict[str, str]:
    made = {
        name: key for name, key in vars(redis_keys).items() if name.isupper() and not name.startswith("_")
    }
    functions = inspect.getmembers(redis_keys, inspect.isfunction)
    return made | {name: make(*inspect.signature(make).parameters) for name, make in functions}


def test_all_keys_lie_on_one_node() -> None:
    assert {name: key for name, key in keys().items() if not key.startswith(redis_keys.PREFIX)} == {}


def test_no_other_module_and_no_script_spells_a_key() -> None:
    tag = redis_keys.PREFIX.rstrip(":")
    paths = [path for top in PRODUCT for path in (ROOT / top).rglob("*") if path.suffix in (".py", ".lua")]
    found = [str(path.relative_to(ROOT)) for path in paths if tag in path.read_text(encoding="utf-8")]
    assert found == ["services/platform/redis_keys.py"]


def test_what_it_costs_to_lose_a_key_is_told_for_each() -> None:
    told = redis_keys.__doc__ or ""
    words = {
        key.removeprefix(redis_keys.PREFIX).split(":")[:2][-1] for key in keys().values() if "*" not in key
    }
    assert {word for word in words if word not in told} == set()
