"""Outside companies: real or sandbox, do they answer, do they take our keys."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import httpx

from services.adapters.telegram.updates import WEBHOOK_PATH
from services.cli.doctor import Check, fail, ok, warn
from services.platform.endpoints import COMPANIES, CompanyName
from services.platform.logs import Redaction, secret_values
from services.platform.settings import Settings, variable_name
from services.platform.tls import tls_context
from services.platform.witness import WITNESS

_TIMEOUT_S = 10.0
_HEADERS = {"User-Agent": "neurocards"}
_AFTERWARDS = {
    "openai_model": "afterwards every prompt is the template",
    "openai_moderation_model": "afterwards orders are not judged",
}


@dataclass(frozen=True)
class Probe:
    """A read-only request that needs a good key and costs nothing."""

    name: CompanyName
    key_variable: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    auth: tuple[str, str] | None = None
    proxy: str | None = None


async def check_companies(settings: Settings) -> list[Check]:
    async with _client() as client:
        sandboxed = [name for name in COMPANIES if settings.uses_sandbox_for(name)]
        real = [probe for probe in _probes(settings) if probe.name not in sandboxed]
        checks = [ok(COMPANIES[name].key_variable, f"not set: {name} is the sandbox") for name in sandboxed]
        redaction = Redaction(secret_values(settings))
        checks += await asyncio.gather(*(_ask(client, probe, redaction) for probe in real))
        if sandboxed:
            checks.append(await _sandbox(client, settings))
        if settings.bot_mode == "webhook":
            checks.append(await _webhook(client, settings))
    if not settings.uses_sandbox_for("kie") and settings.public_url is None:
        advice = "set it to where the outside reaches the web process; without it results are only polled for"
        checks.append(warn("PUBLIC_URL", "not set: KIE's callbacks cannot reach us", advice))
    if settings.bot_token is not None and settings.public_url is None:
        found = "not set: a video that Telegram does not take (over 50 MB) cannot be handed over by a link"
        advice = "set it to where people reach the web process; until then they are told to write to support"
        checks.append(warn("PUBLIC_URL", found, advice))
    return checks


def _client(proxy: str | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=tls_context(), timeout=_TIMEOUT_S, headers=_HEADERS, proxy=proxy)


def _probes(settings: Settings) -> list[Probe]:
    token = settings.telegram_token.get_secret_value()
    openai = {"Authorization": f"Bearer {settings.openai_key.get_secret_value()}"}
    proxy = settings.openai_proxy.get_secret_value() if settings.openai_proxy is not None else None
    shop = (settings.yookassa_shop, settings.yookassa_secret.get_secret_value())
    kie = [
        Probe("kie", variable, f"{settings.kie_base}/api/v1/chat/credit",
              {"Authorization": f"Bearer {key.get_secret_value()}"})
        for variable, keys in (("KIE_API_KEYS", settings.kie_keys),
                               ("KIE_API_KEYS_RETIRING", settings.kie_api_keys_retiring))
        for key in keys
    ]  # fmt: skip
    return [
        Probe("telegram", "BOT_TOKEN", f"{settings.telegram_base}/bot{token}/getMe"),
        *kie,
        Probe("openai", "OPENAI_API_KEY", f"{settings.openai_base}/models", openai, proxy=proxy),
        Probe("yookassa", "YOOKASSA_SECRET_KEY", f"{settings.yookassa_base}/me", auth=shop),
    ]


async def _ask(client: httpx.AsyncClient, probe: Probe, redaction: Redaction) -> Check:
    try:
        if probe.proxy is not None:
            async with _client(probe.proxy) as through:
                answer = await _get(through, probe)
        else:
            answer = await _get(client, probe)
    except httpx.HTTPError as error:
        found = redaction.text(f"{probe.name} does not answer: {type(error).__name__}")
        return fail(probe.key_variable, found, "check the network and the address set for it")
    status = _status(answer)
    if status == 200:
        return ok(probe.key_variable, f"{probe.name} takes the key")
    if status in (401, 403, 404):
        return fail(probe.key_variable, f"{probe.name} refuses the key ({status})", "set the right key")
    return warn(probe.key_variable, f"{probe.name} answers {status}", "try again later")


async def _get(client: httpx.AsyncClient, probe: Probe) -> httpx.Response:
    answer = await client.get(
        probe.url, headers=dict(probe.headers), auth=probe.auth or httpx.USE_CLIENT_DEFAULT
    )
    WITNESS.see(probe.name, answer.headers)
    return answer


def _status(answer: httpx.Response) -> int:
    """KIE's status is in the body, not HTTP's."""
    try:
        body = answer.json()
    except ValueError:
        return answer.status_code
    code = body.get("code") if isinstance(body, dict) else None
    return code if answer.status_code == 200 and isinstance(code, int) else answer.status_code


async def _sandbox(client: httpx.AsyncClient, settings: Settings) -> Check:
    try:
        answer = await client.get(f"{settings.sandbox_base}/__sandbox/health")
        WITNESS.see("telegram", answer.headers)
    except httpx.HTTPError:
        return warn("sandbox", f"does not run at {settings.sandbox_base}", "`neurocards up` starts it")
    if answer.status_code == 200:
        return ok("sandbox", f"runs at {settings.sandbox_base}")
    return warn(
        "sandbox", f"{settings.sandbox_base} answers {answer.status_code}", "is it another program's port?"
    )


async def _webhook(client: httpx.AsyncClient, settings: Settings) -> Check:
    """Whether Telegram reaches us: it says so itself."""
    ours = settings.public_base + WEBHOOK_PATH
    url = f"{settings.telegram_base}/bot{settings.telegram_token.get_secret_value()}/getWebhookInfo"
    try:
        info = (await client.get(url)).json()["result"]
        told, pending, error = info["url"], info["pending_update_count"], info.get("last_error_message")
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return warn("BOT_MODE", "Telegram does not say where it sends updates", "try again later")
    if told != ours:
        found = f"Telegram sends updates to {told or 'nobody'}, not to {ours}"
        return fail("BOT_MODE", found, "run a bot with BOT_MODE=webhook and this PUBLIC_URL")
    if pending and error:
        advice = "docs/runbook.md, NobodyFetchesUpdates"
        return fail("BOT_MODE", f"{pending} updates wait at Telegram, which says: {error}", advice)
    return ok("BOT_MODE", f"Telegram sends updates to {ours}, {pending} wait")


async def check_models(settings: Settings) -> list[Check]:
    """One check per model in use; none while OpenAI is the sandbox."""
    if settings.uses_sandbox_for("openai"):
        return []
    from services.adapters.openai.client import open_client
    from services.adapters.openai.errors import OpenAINoAnswerError
    from services.adapters.openai.models import end_of, models_in_use

    today, checks = datetime.now(UTC).date(), []
    async with open_client(settings) as client:
        for field, model in models_in_use(settings).items():
            try:
                checks.append(judge_model_end(field, model, await end_of(client, model, today), today))
            except OpenAINoAnswerError as error:
                checks.append(ok(variable_name(field), f"{model}: when it ends is not told ({error.reason})"))
    return checks


def judge_model_end(field: str, model: str, end: date | None, today: date) -> Check:
    from services.adapters.openai.models import SOON_DAYS

    name = variable_name(field)
    advice = f"set {name} to the successor that OpenAI names (docs/generation.md); {_AFTERWARDS[field]}"
    if end is None:
        return ok(name, f"{model}: no end is announced")
    days = (end - today).days
    if days <= 0:
        return fail(name, f"{model} is not there: it has left OpenAI's API, or never was in it", advice)
    found = f"{model} leaves OpenAI's API on {end}, in {days} days"
    return warn(name, found, advice) if days <= SOON_DAYS else ok(name, found)
