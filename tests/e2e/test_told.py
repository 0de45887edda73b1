"""What a job's logs and its trace tell, and what they never do: keys, passwords, and what a seller wrote.

The last module of those that share one system: it reads what all of them have made it log.
"""

import base64
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from services.generation.callback_urls import callback_secrets
from services.platform.endpoints import COMPANIES, YOOKASSA_SANDBOX_SHOP
from services.platform.settings import Settings
from services.platform.tracing.exporter import ids_of
from services.recovery.checkpoint_files import made_here
from services.rehearsal.system import Stack
from tests.support.collector import Collector, Received
from tests.support.playing import ANSWER_S, PLANTED, Play
from tests.support.waiting import eventually

SMALL_VIDEOS = True
WISHES = "Zimtsterne tanzen langsam im Dampf um die Tasse"
TELLS_OF = {
    "job_started": "JobStarted",
    "prompt_written": "PromptWritten",
    "submission_failed": "SubmissionFailed",
    "submission_accepted": "SubmissionAccepted",
    "job_succeeded": "JobSucceeded",
    "delivery_sent": "JobSucceeded",
}
"""Log lines that mean an event, and the event."""
SERVICES = {"bot", "relay", "worker", "notifier"}
LAST = {"order", "send jobs", "process jobs", "deliver"}
"""Of each of them the span that it sends after its others of the job."""


async def test_logs_and_trace_tell_a_jobs_story_and_no_secret(
    play: Play, stack: Stack, collector: Collector
) -> None:
    job = await made_with_one_failure(play)
    lines = await eventually(lambda: lines_of(stack, job), ANSWER_S, what="the last line about the job")
    tell_the_story(lines, {event.position: event.type for event in await play.log_watch.story(job)})

    trace = ids_of(job).trace
    await eventually(
        lambda: {span.name for span in collector.of(trace)} >= LAST, ANSWER_S, what="each process's last span"
    )
    hang_together(collector.of(trace))
    assert {line.get("trace_id") for line in lines["job_started"]} == {f"{trace:032x}"}

    found = {path.name: told_in(path.read_text("utf-8", "replace"), stack, job) for path in logs(stack)}
    assert {name: words for name, words in found.items() if words} == {}
    assert told_in(str(collector.spans), stack, job) == []


async def made_with_one_failure(play: Play) -> str:
    """A job whose provider failed once and repeated what it was sent, key and all."""
    seller = play.seller()
    product = play.product(seller)
    await seller.begin()
    confirm = await seller.draft(product, wishes=WISHES)
    key, said = COMPANIES["kie"].sandbox_key, f"{product.name}: {WISHES}"
    words = f"Internal error, please try again later: {said} https://host/?key={key}"
    fault = {"api": "kie", "call": "createTask", "fault": "task_transient", "args": {"msg": words}}
    await play.sandbox.inject([fault | {"match": {"prompt": product.name}}])
    await seller.results(await seller.order(confirm), 1, ANSWER_S)
    (job,) = await play.jobs(seller)
    return job


def tell_the_story(lines: Mapping[str, list[dict[str, Any]]], types: Mapping[int, str]) -> None:
    """Every line has the account, and those that mean an event its position."""
    account = lines["order_placed"][0]["account"]
    assert types[lines["order_placed"][0]["position"] + 1] == "JobQueued"  # after its charge
    for event, event_type in TELLS_OF.items():
        assert {types.get(line["position"]) for line in lines.get(event, ())} == {event_type}, event
    assert [line for found in lines.values() for line in found if line.get("account") != account] == []
    failed = lines["submission_failed"][0]
    assert (failed["error_class"], failed["code"]) == ("transient", "500") and failed["ref"]


def hang_together(spans: Sequence[Received]) -> None:
    """One tree, from the tap, with every process in it."""
    assert {span.service for span in spans} >= SERVICES
    assert [span.name for span in spans if not span.parent] == ["order"]
    known = {"", *(span.span for span in spans)}
    assert [span.name for span in spans if span.service in SERVICES and span.parent not in known] == []
    names = [span.name for span in spans]
    assert {"prompt", "chat", "submit", "poll", "fetch", "store"} <= set(names)
    assert names.count("kie createTask") == 2


async def lines_of(stack: Stack, job: str) -> dict[str, list[dict[str, Any]]] | None:
    """The log lines about the job by their event, once the last one is there."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in logs(stack):
        for text in path.read_text("utf-8", "replace").splitlines(keepends=True):
            whole = text.startswith("{") and text.endswith("}\n")
            line = json.loads(text) if whole and job in text else {}
            if line.get("job") == job or job in line.get("jobs", ()):
                found[line["event"]].append(line)
    return found if "delivery_sent" in found and "job_succeeded" in found else None


def logs(stack: Stack) -> list[Any]:
    return [stack.log_path, *sorted(stack.data.logs.glob("*.log"))]


def told_in(text: str, stack: Stack, job: str) -> list[str]:
    """Which of the things that nobody may read in a log stand in it."""
    settings = stack.settings
    found = [word for word in secrets_of(stack, settings, job) if word in text]
    return found + re.findall(r"(?i)tea cup|zimtsterne|[\w.+-]+@[\w-]+\.[a-z]{2,}\b", text)


def secrets_of(stack: Stack, settings: Settings, job: str) -> list[str]:
    shop = f"{YOOKASSA_SANDBOX_SHOP}:{COMPANIES['yookassa'].sandbox_key}"
    signing = made_here(settings).read_text().split("+", 4)[-1].strip()  # base64 has + too
    return [
        *(company.sandbox_key for company in COMPANIES.values()),
        *PLANTED.values(),
        "planted-collector-key",
        base64.b64encode(shop.encode()).decode(),
        signing,
        *(secret for number in (1, 2) for secret in callback_secrets(settings, job, number)),
    ]
