"""A seller is erased while a worker makes their video: nothing of theirs is stored any more."""

from typing import Any

import pytest
from redis.asyncio import Redis

from services.accounts.erase import Forgetting
from services.adapters.kie.gateway import Kie
from services.platform.blob_stores import open_blobs
from services.worker.store import JobStore
from tests.support.waiting import eventually
from tests.support.worker_fixture import WorkerFixture


@pytest.mark.parametrize(
    ("kind", "method", "before"),
    [
        (JobStore, "keep_text", True),
        (Kie, "fetch", True),
        (Kie, "fetch", False),
        (JobStore, "has_owner", False),
    ],
)
async def test_nothing_is_stored_of_one_who_is_erased_meanwhile(
    workshop: WorkerFixture,
    pool: Any,
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
    kind: type,
    method: str,
    before: bool,
) -> None:
    original = getattr(kind, method)
    blobs = open_blobs(workshop.settings)
    forgetting = Forgetting(workshop.settings, pool, workshop.ledger, blobs)
    done: list[Any] = []

    async def erasing(*args: Any, **kwargs: Any) -> Any:
        if before:
            done.append(
                await forgetting.forget(
                    await workshop.account(), actor="login:neurocards_operator", reason="r"
                )
            )
        answer = await original(*args, **kwargs)
        if not before:
            done.append(
                await forgetting.forget(
                    await workshop.account(), actor="login:neurocards_operator", reason="r"
                )
            )
        return answer

    monkeypatch.setattr(kind, method, erasing)
    running = await workshop.worker()
    (job,) = await workshop.order()
    await eventually(lambda: done, 30)
    state = await workshop.ended(job)
    # Until the worker has let go of it: one that is stopped before that leaves the file to the sweep.
    await workshop.nothing_pending()
    await running.end()
    assert state.failure is not None and state.failure.error_class == "user_erased"
    files = [path.name for path in (workshop.settings.data_dir / "blobs").rglob("*.mp4*")]
    assert files == []
    for table in ("texts", "accounts"):
        assert await pool.fetchval(f"SELECT count(*) FROM {table}") == 0
    await workshop.audit()
