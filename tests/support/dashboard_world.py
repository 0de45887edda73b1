"""A log with all kinds of traffic, its read models up to date, and the figures and other digits of a page.

Whoever sells, pays or plays a company writes HOSTILE wherever a text of theirs is kept.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlsplit

import msgspec

from events.envelope import Recorded
from events.job import Failure
from ledger import commands as c
from ledger.log.ledger import Ledger
from ledger.log.reader import LogReader
from ledger.payments import commands as p
from ledger.postgres import Connection, Pool
from projections.engine.registry import PROJECTIONS
from projections.engine.runner import Runner
from services.dashboard.figures import measured, value_at
from tests.support.notes import make_note
from tests.support.traffic import VIDEO, Traffic

ADMIN = "account:a1"
HOSTILE = "<script>alert(1)</script><b onmouseover='x'>\"&amp;"
TAGS_APART = {
    "header",
    "footer",
    "h1",
    "h2",
    "h3",
    "th",
    "label",
    "title",
    "time",
    "pre",
    "code",
    "option",
    "textarea",
}
CLASSES_APART = {"n", "id", "words", "sum"}
"""Figures; names; texts that somebody wrote; what listed events come to, where the links of figures end."""
LABELS_APART = re.compile(r"SHA-256|\d{4}-\d\d-\d\d")
"""Words of ours, and days."""
VOID = {"input", "link", "meta", "br", "img", "hr"}


@dataclass
class World:
    """Names of one of each, for the parts of routes."""

    account: str
    payment: str
    job: str
    position: str
    note: str
    others: dict[str, str] = field(default_factory=dict)

    def part(self, name: str) -> str | None:
        own = {"size": self.note, "what": "events"} | self.others
        return own.get(name) or getattr(self, name, None)


async def make_world(ledger: Ledger, owner: Connection, pool: Pool) -> World:
    traffic = Traffic(ledger)
    await traffic.play(120)
    keys = iter(range(10**6))

    async def do(command: c.Command) -> None:
        await ledger.execute(command, key=f"world{next(keys)}")

    rich, poor = "a0", "poor"
    await do(c.OpenAccount(poor, "1" * 64, "referral", rich))
    await do(c.AcceptTerms(poor, "1", 2))
    now_us = await owner.fetchval("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
    await do(c.GrantCredits(rich, 60, "manual", HOSTILE, actor=ADMIN, expires_at_us=now_us + 1_000_000))
    await do(c.GrantCredits(rich, 70, "manual", "thanks", actor=ADMIN, expires_at_us=now_us + 10**13))
    terms = ("five", 5, 39_000, "RUB", "1", False, None, HOSTILE, "ru")
    for payment, paid in (("spent", 39_000), ("flagged", 1_000)):
        await do(p.OrderPayment(payment, poor, "yookassa", *terms))
        await do(p.SettlePayment(payment, poor, "yookassa", f"yk-{payment}", paid, "RUB", "1", False))
    await do(c.OrderVideos(poor, "po", ("p-1", "p-2"), 3, HOSTILE, HOSTILE, "photos/p", "brief", "ru", 900))
    await do(p.RecordRefund("spent", poor, "yookassa", "yk-spent", "yr-spent", 39_000))
    await do(p.RecordRefund("flagged", poor, "yookassa", "yk-flagged", "yr-flagged", 1_000))
    await do(p.OrderPayment("tried", poor, "yookassa", *terms[:5], True, None, HOSTILE, "ru"))
    await do(p.SettlePayment("tried", poor, "yookassa", "yk-tried", 39_000, "RUB", "1", True))
    await do(p.RecordRefund("tried", poor, "yookassa", "yk-tried", "yr-tried", 20_000))
    await do(c.StartJob("p-1", 1, "w1"))
    await do(c.RecordPrompt("p-1", 1, "prompt", "openai", "ugc"))
    await do(c.IntendSubmission("p-1", 1, 1, "key-1", HOSTILE))
    await do(c.RecordAccepted("p-1", 1, "task-p-1"))
    await do(c.SucceedJob("p-1", 1, 1, VIDEO, 1234))
    await do(c.FailJob("p-2", poor, "operator", Failure("transient", "500"), actor=ADMIN, reason=HOSTILE))
    note = await make_note(ledger)
    for sql in OUTSIDE:
        await owner.execute(sql.replace("$1", "$1::text").replace("$2", "$2::text"), poor, HOSTILE)
    for name in PROJECTIONS:
        await catch_up(pool, name)
    return World(rich, "spent", "p-1", "7", str(note.place.position))


OUTSIDE = (
    "INSERT INTO accounts (account, telegram_id) VALUES ($1, length($2))",
    "INSERT INTO deliveries (job, kind, position, account, order_id, number, of_jobs, locale, state,"
    " last_error) VALUES ('p-2', 'failure', 0, $1, 'po', 2, 2, 'ru', 'failed', $2)",
    "INSERT INTO payment_comparisons (provider, since, ended_at, payments, refunds)"
    " SELECT 'yookassa', now() - interval '1 day', now(), length($1), length($2)",
    "INSERT INTO payment_differences (comparison, kind, object, payment, provider_payment, theirs_minor,"
    " currency, note) SELECT comparison, 'foreign', 'payment', '', $2, length($1), 'RUB', $2"
    " FROM payment_comparisons",
    "INSERT INTO person_reads (actor, what, account, reason) VALUES ('account:a1', $2, $1, $2)",
    "INSERT INTO model_changes (model, state, set_by, actor, reason, changed_us)"
    " SELECT $1, 'paused', 'operator', 'account:a1', $2, (extract(epoch FROM now()) * 1000000)::bigint",
    "INSERT INTO note_deliveries (number, place, due_at, last_error) SELECT 1, 'mail ' || $1, now(), $2",
    "INSERT INTO verification_runs (whole, events, position, found, report, problems)"
    " SELECT true, 7, 7, length($1),"
    " json_build_array(json_build_object('kind', 'edited', 'position', 3, 'message', $2)), '{\"edited\": 1}'",
)
"""What stands beside the log: a person, messages, the provider's book, who read what, a note's way.

$1 is an account, $2 a text.
"""


async def catch_up(pool: Pool, name: str) -> None:
    """Apply the log to a projection, to its head."""
    runner, reader = Runner(pool, PROJECTIONS[name]), LogReader(pool)
    while events := await reader.events_after((await runner.cursor()).position):
        await runner.apply(events)


class Page(HTMLParser):
    """`figures`: addresses of figures of the log, with their texts; `stray`: digits that are none.

    `unsourced`: figures that neither lead to events nor say where they are from.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self._open: list[tuple[str, bool]] = []
        self.figures: list[str] = []
        self.unsourced: list[str] = []
        self.stray: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in VOID:
            return
        has = dict(attrs)
        classes = set((has.get("class") or "").split())
        href = has.get("href") or ""
        apart = (
            tag in TAGS_APART
            or bool(CLASSES_APART & classes)
            or re.fullmatch(r"/events/\d+", href) is not None
            or (has.get("title") or "").startswith("source: ")
        )
        if "n" in classes:
            source = re.match(r"source: (.+)", has.get("title") or "")
            if href.startswith("/events?"):
                self.figures.append(href)
            elif not (source or "sum" in classes):
                self.unsourced.append(self.get_starttag_text() or "")
        self._open.append((tag, apart))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if re.search(r"\d", LABELS_APART.sub("", data)) and not any(apart for _, apart in self._open):
            self.stray.append(data.strip())


def measured_of(log: list[Recorded], href: str) -> tuple[float, str]:
    """What the events of a figure's link come to without the product's search, and what the figure says."""
    asked = parse_qsl(urlsplit(href).query)
    single = dict(asked)
    wheres = [value.partition("=") for name, value in asked if name == "where"]
    types = {value for name, value in asked if name == "type"}
    among = {int(value) for name, value in asked if name == "at"}
    streams = {single["stream"]} if "stream" in single else set()
    streams |= {f"{kind}-{single[kind]}" for kind in ("job", "payment") if kind in single}
    chosen = [
        e
        for e in log
        if (not types or e.type in types)
        and (not among or e.position in among)
        and (not streams or e.stream in streams)
        and e.position <= int(single.get("position", 10**18))
        and int(single.get("since_us", 0)) <= e.recorded_at_us < int(single.get("until_us", 10**18))
        and single.get("actor", "") in ("", value_at(msgspec.json.decode(e.data), "actor"))
        and all(value_at(msgspec.json.decode(e.data), name) == value for name, _, value in wheres)
        and all(_counted_as(log, e, *text.split("=", 1)) for name, text in asked if name == "counted")
    ]
    return measured(single["measure"], chosen), single["is"]


def _counted_as(log: list[Recorded], recorded: Recorded, name: str, value: str) -> bool:
    """Whether a failure is one of this model, or credited money is a test or none."""
    data = msgspec.json.decode(recorded.data)
    before = [e for e in log if e.stream == recorded.stream and e.position <= recorded.position]
    said = [(e.type, msgspec.json.decode(e.data)) for e in before]
    if name == "test":
        paid = {fields["provider_payment"] for type_, fields in said if type_ == "PaymentSucceeded"}
        return data["provider_payment"] in paid and str(said[0][1]["test"]).lower() == value
    attempt = data["submission"] if "submission" in data else data["failure"].get("attempt", 0)
    intended = {fields["submission"]: fields["model"] for type_, fields in said if "Intended" in type_}
    return str(intended.get(attempt, said[0][1]["model"])) == value


def texts_of(html: str) -> Iterator[str]:
    """What a browser would take for markup of HOSTILE's."""
    yield from re.findall(r"<script>alert|<b onmouseover", html)
