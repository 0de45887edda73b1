"""Accepts, renders and finishes tasks; all its state is in the store."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor

import msgspec

from services.sandbox.app import Context
from services.sandbox.faults import KIE_CALLBACK, KIE_TASK, Fault
from services.sandbox.kie import callbacks
from services.sandbox.kie.tasks import TASK_KIND, Task, load, planned_failure, save, words
from services.sandbox.knobs import change_knobs, knobs
from services.sandbox.video import FULL, SMALL, NotAnImageError, placeholder, render

_LATE_DEFAULT_S = 60.0
_CALLBACK_FIRST_S = 10.0


class Studio:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="render")
        self._rendering: dict[str, asyncio.Task[None]] = {}

    async def resume(self) -> None:
        for task_id, doc in self._ctx.store.all(TASK_KIND):
            if doc["state"] == "open":
                self._follow(msgspec.convert(doc, Task))
            elif doc["callback"]:
                callbacks.resume(self._ctx, task_id)

    def accept(self, draft: Task, fault: Fault | None) -> Task:
        """Store a new task, take its price, start it. `fault`: createTask's, if meant for the task."""
        task = self._with_faults(draft, fault)
        with self._ctx.store.batch():
            save(self._ctx, task)
            if task.cost:
                self._pay(-task.cost)
        if task.callback and task.callback_fault == "callback_forged":
            callbacks.send_forged(self._ctx, task)
        if task.callback and task.callback_fault == "callback_before_answer":
            return task  # the caller goes on with `finish_now`
        if self._is_due(task) and self._is_ready(task):
            return self._settle(task)
        self._follow(task)
        return task

    def look(self, task: Task) -> Task:
        """The task now; finished here when it is due and its video exists."""
        return self._settle(task) if self._is_due(task) and self._is_ready(task) else task

    async def finish_now(self, task: Task) -> None:
        """Finish and await the callback's answer (the callback_before_answer fault)."""
        task.due_ms = task.created_ms
        save(self._ctx, task)
        if planned_failure(task) is None:
            await self._ensure_video(task)
        self._settle(task)
        if sending := callbacks.underway(self._ctx, task.id):
            await asyncio.wait(sending, timeout=_CALLBACK_FIRST_S)

    def _with_faults(self, task: Task, fault: Fault | None) -> Task:
        for call, names in (("task", KIE_TASK), ("callback", KIE_CALLBACK)):
            taken = fault if fault is not None and fault.name in names else None
            taken = taken or self._ctx.faults.take("kie", call, task=task.id, **words(task))
            if taken is not None and call == "task":
                task.fault, task.fault_args = taken.name, dict(taken.args)
            elif taken is not None:
                task.callback_fault = taken.name
        if task.fault == "late_success":
            task.due_ms = task.created_ms + int(float(task.fault_args.get("seconds", _LATE_DEFAULT_S)) * 1000)
        return task

    def _follow(self, task: Task) -> None:
        self._ctx.spawn(self._run(task), name=f"kie-task-{task.id}")

    async def _run(self, task: Task) -> None:
        if task.endless:
            return
        if planned_failure(task) is None:
            await self._ensure_video(task)
        await self._ctx.sleep_until(task.due_ms / 1000)
        current = load(self._ctx, task.id)
        if current is not None and current.state == "open":
            self._settle(current)

    def _is_due(self, task: Task) -> bool:
        due = task.due_ms <= int(self._ctx.clock.now() * 1000)
        return task.state == "open" and not task.endless and due

    def _is_ready(self, task: Task) -> bool:
        return planned_failure(task) is not None or self._has_video(video_name(task))

    def _has_video(self, name: str) -> bool:
        return self._ctx.store.file_path(name) is not None

    def _settle(self, task: Task) -> Task:
        failure = planned_failure(task)
        task.completed_ms = max(task.due_ms, int(self._ctx.clock.now() * 1000))
        if failure is None:
            task.state, task.video = "success", video_name(task)
        else:
            task.state = "fail"
            task.fail_code, task.fail_msg = failure
        with self._ctx.store.batch():
            save(self._ctx, task)
            if failure is not None and task.cost:
                self._pay(task.cost)  # a failed task is not charged
            if task.callback:
                callbacks.plan(self._ctx, task)
        if task.callback:
            callbacks.resume(self._ctx, task.id)
        return task

    def _pay(self, credits: float) -> None:
        change_knobs(self._ctx, {"balance": max(0.0, round(knobs(self._ctx).balance + credits, 4))})

    async def _ensure_video(self, task: Task) -> None:
        name = video_name(task)
        if self._has_video(name):
            return
        if name not in self._rendering:
            self._rendering[name] = self._ctx.spawn(self._render(task, name), name=f"render-{name}")
        # Shielded: a task that is cancelled must not take the others' video with it.
        await asyncio.shield(self._rendering[name])

    async def _render(self, task: Task, name: str) -> None:
        photo = self._ctx.store.file_path(task.photo) if task.photo else None
        shape = SMALL if task.small else FULL
        loop = asyncio.get_running_loop()
        try:
            try:
                picture = photo.read_bytes() if photo else placeholder()
                video = await loop.run_in_executor(self._pool, render, picture, shape)
            except NotAnImageError:
                video = await loop.run_in_executor(self._pool, render, placeholder(), shape)
            self._ctx.store.write_file(name, video)
        finally:
            del self._rendering[name]


def video_name(task: Task) -> str:
    """One video per photo (or prompt) and size, shared by tasks."""
    seed = task.photo or "prompt:" + task.prompt
    digest = hashlib.sha256(seed.encode()).hexdigest()[:32]
    return f"kie/videos/{digest}-{'small' if task.small else 'full'}.mp4"
