"""Many cases as one test: a loop whose failure names the cases that fail."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

import pytest

Test = Callable[..., Any]
_FAILURES = (Exception, pytest.fail.Exception)


def each(names: str | Sequence[str], cases: Iterable[Any]) -> Callable[[Test], Test]:
    """`pytest.mark.parametrize` for cases that need nothing of pytest: one test plays all of them.

    Every case is played, also after one has failed. What a fixture gives is shared by all.
    """
    parts = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    rows = [dict(zip(parts, case if len(parts) > 1 else (case,), strict=True)) for case in cases]
    assert rows, f"no cases of {names}"

    def decorate(test: Test) -> Test:
        signature = inspect.signature(test)
        assert set(parts) <= set(signature.parameters), f"{test} takes no {names}"

        def play(**given: Any) -> None:
            failed = []
            for number, row in enumerate(rows):
                try:
                    test(**given, **row)
                except _FAILURES as error:
                    failed.append(_named(error, number, row))
            _raise(failed, len(rows))

        async def play_async(**given: Any) -> None:
            failed = []
            for number, row in enumerate(rows):
                try:
                    await test(**given, **row)
                except _FAILURES as error:
                    failed.append(_named(error, number, row))
            _raise(failed, len(rows))

        played: Any = wraps(test)(play_async if inspect.iscoroutinefunction(test) else play)
        others = [given for name, given in signature.parameters.items() if name not in parts]
        vars(played)["__signature__"] = signature.replace(parameters=others)
        found: Test = played
        return found

    return decorate


def _named(error: BaseException, number: int, row: dict[str, Any]) -> BaseException:
    told = ", ".join(f"{name}={value!r}"[:200] for name, value in row.items())
    error.add_note(f"case {number}: {told}")
    return error


def _raise(failed: list[BaseException], cases: int) -> None:
    if len(failed) == 1:
        raise failed[0]
    if failed:
        raise BaseExceptionGroup(f"{len(failed)} of {cases} cases", failed)
