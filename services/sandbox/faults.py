"""Fault injection: named faults, rules of tests, random faults from a seed.

Rules and seed survive a restart, with the uses left of a rule. What a name does is told where it is acted
out: here, `kie/answers.py` and `kie/tasks.py`, `openai/errors.py`, `yookassa/api.py` and
`yookassa/notifications.py`, `telegram/server.py`.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from events.errors import NeurocardsError
from services.sandbox.store import Store

# One table, so that a misspelt fault in a test is refused instead of silently never happening.

KIE_CALL = (
    "paused", "no_balance", "no_balance_500", "rate_limited", "maintenance", "server_error", "validation",
    "bad_key", "html_502", "http_500", "truncated_json", "empty_body", "drop_before", "drop_after_accept",
    "hang",
)  # fmt: skip
KIE_TASK = (
    "policy", "face", "google_policy", "task_transient", "task_timeout", "task_no_balance",
    "never_finishes", "success_without_url", "result_404", "result_not_video", "result_huge",
    "result_as_object", "unknown_state", "late_success",
)  # fmt: skip
KIE_CALLBACK = (
    "callback_twice", "callback_never", "callback_forged", "callback_before_answer",
    "callback_bad_signature",
)  # fmt: skip
_OPENAI = (
    "quota", "rate_limit", "bad_key", "region", "no_model", "bad_request", "policy", "server_error",
    "hang", "html_502", "html_200",
)  # fmt: skip
_OPENAI_ANSWER = ("refusal", "invalid_json", "half_filled", "truncated", "content_filter")
_YOOKASSA_READ = ("500_before", "429", "hang", "html_502", "reset")
_YOOKASSA_WRITE = ("500_after", *_YOOKASSA_READ)

_TELEGRAM = ("429", "500", "blocked", "html_502", "drop_before", "drop_after", "hang", "hang_after")
_TELEGRAM_METHODS = (
    "getMe", "getUpdates", "setWebhook", "deleteWebhook", "getWebhookInfo", "setMyCommands",
    "getMyCommands", "setMyDescription", "setMyShortDescription",
    "sendMessage", "editMessageText", "editMessageReplyMarkup", "editMessageCaption", "editMessageMedia",
    "deleteMessage", "answerCallbackQuery", "sendChatAction", "sendPhoto", "sendVideo", "sendDocument",
    "sendAnimation", "copyMessage", "getFile", "getChat", "sendInvoice", "answerPreCheckoutQuery",
    "refundStarPayment", "getStarTransactions",
)  # fmt: skip

FAULT_NAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "telegram": {
        **dict.fromkeys(_TELEGRAM_METHODS, _TELEGRAM),
        "sendVideo": (*_TELEGRAM, "as_animation"),
        "file": ("html_502", "drop_before", "hang", "500"),
    },
    "kie": {
        "createTask": KIE_CALL + KIE_TASK + KIE_CALLBACK,
        "task": KIE_TASK,
        "callback": KIE_CALLBACK,
        "recordInfo": ("rate_limited", "server_error", "html_502", "truncated_json", "record_null", "drop"),
        "upload": ("html_502", "no_url", "drop"),
        "credit": ("bad_key", "server_error", "html_502", "drop", "hang"),
    },
    "openai": {
        "chat": _OPENAI + _OPENAI_ANSWER,
        "moderations": _OPENAI,
        "models": _OPENAI,
    },
    "yookassa": {
        "create": (*_YOOKASSA_WRITE, "notify_forged"),
        "get": _YOOKASSA_READ,
        "list": _YOOKASSA_READ,
        "refund": _YOOKASSA_WRITE,
        "me": _YOOKASSA_READ,
        "notify": ("notify_twice", "notify_forged", "notify_reordered", "notify_never"),
    },
}

ANY_CALL = "*"

_RULE_KIND = "fault_rule"
_TAKEN_KIND = "fault_taken"
_SEED_KIND = "fault_seed"
_RULES_MAX = 1000
_TAKEN_MAX = 5000


class FaultError(NeurocardsError):
    """A fault rule or seed is not usable; the message says what is allowed."""


class Fault(msgspec.Struct, frozen=True):
    name: str
    args: dict[str, Any] = {}


class FaultRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fault on calls of `api`.`call` whose context matches.

    The context must hold all substrings of `match`, whose keys are the API's own words: key, model, callback,
    prompt, task, order, … The first `after` matching calls pass unharmed, the next `times` fail (None: all).
    `call` may be `*`.
    """

    api: str
    call: str
    fault: str
    times: int | None = 1
    after: int = 0
    match: dict[str, str] = {}
    args: dict[str, Any] = {}


class _Counted(msgspec.Struct):
    rule: FaultRule
    seen: int = 0
    used: int = 0


class _Seeded(msgspec.Struct):
    seed: int
    rate: float
    only: list[str] | None
    calls: dict[str, int]
    args: dict[str, dict[str, Any]] = {}


class Faults:
    """Decides, once per call, whether it goes wrong. Rules come first, in the order they were added."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rules = {key: msgspec.convert(doc, _Counted) for key, doc in store.all(_RULE_KIND)}
        seeded = store.get(_SEED_KIND, "current")
        self._seeded = None if seeded is None else msgspec.convert(seeded, _Seeded)

    def add(self, *rules: FaultRule) -> list[str]:
        """Add rules, all or none; returns their ids. Raises FaultError for unknown calls or faults."""
        for rule in rules:
            self._check(rule)
        if len(self._rules) + len(rules) > _RULES_MAX:
            raise FaultError(f"more than {_RULES_MAX} fault rules; remove some first")
        keys = [str(self._store.next_id("fault_rule")) for _ in rules]
        for key, rule in zip(keys, rules, strict=True):
            self._rules[key] = _Counted(rule)
            self._save(key)
        return keys

    def remove(self, key: str | None = None) -> int:
        """Remove one rule, or all and the seed; returns the number of rules."""
        doomed = list(self._rules) if key is None else [key] if key in self._rules else []
        for each in doomed:
            del self._rules[each]
            self._store.delete(_RULE_KIND, each)
        if key is None:
            self._seeded = None
            self._store.delete(_SEED_KIND, "current")
        return len(doomed)

    def seed(
        self,
        seed: int,
        rate: float,
        only: list[str] | None = None,
        args: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        """Random faults on a share `rate` (0..1) of calls, repeatable by seed.

        The n-th call of a kind always fares alike. `only` narrows them: entries are an API (`kie`), a call
        (`kie.recordInfo`) or a fault (`policy`). `args` are each fault's arguments, by its name. A rate of 0
        switches them off.
        """
        if not 0 <= rate <= 1:
            raise FaultError(f"rate must be between 0 and 1, not {rate}")
        for entry in only or []:
            if not any(
                self._candidates(api, call, [entry]) for api in FAULT_NAMES for call in FAULT_NAMES[api]
            ):
                raise FaultError(f"nothing is called {entry!r}; use an API, api.call, or a fault's name")
        self._seeded = _Seeded(seed, rate, only, {}, args or {})
        self._save_seed()

    def take(self, api: str, call: str, **context: str) -> Fault | None:
        """The fault for this very call, or None; consumes one use of its rule."""
        if not self._rules and self._seeded is None:
            return None
        for key, counted in self._rules.items():
            rule = counted.rule
            spent = rule.times is not None and counted.used >= rule.times
            if spent or not _matches(rule, api, call, context):
                continue
            counted.seen += 1
            hit = counted.seen > rule.after
            counted.used += hit
            self._save(key)
            if hit:
                return self._taken(Fault(rule.fault, rule.args), api, call, context)
        drawn = self._draw(api, call)
        return None if drawn is None else self._taken(drawn, api, call, context)

    def describe(self) -> dict[str, Any]:
        return {
            "rules": [{"id": key, **msgspec.to_builtins(counted)} for key, counted in self._rules.items()],
            "seed": msgspec.to_builtins(self._seeded),
            "taken": [doc for _, doc in self._store.all(_TAKEN_KIND)],
            "names": msgspec.to_builtins(FAULT_NAMES),
        }

    def _draw(self, api: str, call: str) -> Fault | None:
        seeded = self._seeded
        if seeded is None or seeded.rate == 0:
            return None
        candidates = self._candidates(api, call, seeded.only)
        if not candidates:
            return None
        name = f"{api}.{call}"
        number = seeded.calls.get(name, 0) + 1
        seeded.calls[name] = number
        self._save_seed()
        # A generator per call and not one for all: the order in which different calls come is not
        # reproducible, the number of a call within its kind is.
        dice = random.Random(f"{seeded.seed}:{name}:{number}")
        fault = dice.choice(candidates)
        return Fault(fault, seeded.args.get(fault, {})) if dice.random() < seeded.rate else None

    def _candidates(self, api: str, call: str, only: list[str] | None) -> list[str]:
        names = FAULT_NAMES.get(api, {}).get(call, ())
        if only is None or api in only or f"{api}.{call}" in only:
            return list(names)
        return [name for name in names if name in only]

    def _taken(self, fault: Fault, api: str, call: str, context: dict[str, str]) -> Fault:
        number = self._store.next_id("fault_taken")
        short = {name: value[:200] for name, value in context.items()}
        self._store.put(
            _TAKEN_KIND, str(number), {"api": api, "call": call, "fault": fault.name, "context": short}
        )
        self._store.delete(_TAKEN_KIND, str(number - _TAKEN_MAX))
        return fault

    def _check(self, rule: FaultRule) -> None:
        if rule.after < 0 or (rule.times is not None and rule.times < 1):
            raise FaultError("times must be at least 1 (or null for always), after at least 0")
        if rule.api not in FAULT_NAMES:
            return
        calls = FAULT_NAMES[rule.api]
        if rule.call != ANY_CALL and rule.call not in calls:
            raise FaultError(f"{rule.api} has no call {rule.call!r}; it has: {', '.join(calls)}, {ANY_CALL}")
        possible = sorted({n for c, names in calls.items() if rule.call in (ANY_CALL, c) for n in names})
        if rule.fault not in possible:
            raise FaultError(
                f"{rule.api}.{rule.call} knows no fault {rule.fault!r}; it knows: {', '.join(possible)}"
            )

    def _save(self, key: str) -> None:
        self._store.put(_RULE_KIND, key, msgspec.to_builtins(self._rules[key]))

    def _save_seed(self) -> None:
        self._store.put(_SEED_KIND, "current", msgspec.to_builtins(self._seeded))


def _matches(rule: FaultRule, api: str, call: str, context: dict[str, str]) -> bool:
    if rule.api != api or rule.call not in (call, ANY_CALL):
        return False
    return all(part in context.get(name, "") for name, part in rule.match.items())


HANG_DEFAULT_S = 60.0

_BAD_GATEWAY = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    "<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
)


async def broken_answer(
    request: web.Request, fault: Fault, good: Any = None, hang_s: float = HANG_DEFAULT_S
) -> web.Response | None:
    """Break the answer `good` by a network or server fault; None for other faults."""
    match fault.name:
        case "html_502":  # what a proxy says when the server behind it is gone
            return web.Response(status=502, text=_BAD_GATEWAY, content_type="text/html")
        case "truncated_json":
            text = json.dumps(good, ensure_ascii=False)
            cut = text[: max(1, len(text) * 2 // 3)]
            return web.Response(text=cut, content_type="application/json")
        case "empty_body":
            return web.Response(body=b"", content_type="application/json")
        case "drop" | "drop_before" | "drop_after" | "drop_after_accept":
            return _closed(request)
        case "reset":
            return _reset(request)
        case "hang" | "hang_after":
            return await _hang(request, float(fault.args.get("seconds", hang_s)))
    return None


def _closed(request: web.Request) -> web.Response:
    """Close the connection without an answer. What is returned goes nowhere."""
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=500)


def _reset(request: web.Request) -> web.Response:
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response(status=500)


async def _hang(request: web.Request, seconds: float) -> web.Response:
    """Stay silent for `seconds`, then close; end earlier when the client does."""
    # Real time, not the sandbox's clock: it is the client's patience that is being tried.
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline and request.transport is not None:
        await asyncio.sleep(0.05)  # a transport that closes tells nobody
    return _closed(request)
