"""What is used is tried: a commit, prepared statements, LISTEN, a stream, a file, and our own address."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from urllib.parse import unquote, urlsplit

import asyncpg
import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ledger.errors import TwoPrimariesError
from ledger.log.primary import primary_of
from ledger.postgres import Connection
from services.cli.doctor import Check, fail, ok, warn
from services.platform.blob_stores import open_blobs
from services.platform.blobs import BlobConflictError, BlobError, BlobStore, one_chunk
from services.platform.database import connect, server_settings
from services.platform.errors import SettingsError, StartError
from services.platform.file_links import FileLinks
from services.platform.ids import new_id
from services.platform.primary_fence import PrimaryFence
from services.platform.primary_mark import PrimaryMark
from services.platform.redis_keys import doctor_key
from services.platform.settings import Settings
from services.platform.tls import tls_context

_ANSWER_S = 5.0
_ASKED = ("timezone", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
_POOLER = "does a pooler stand before Postgres? docs/operations.md says how to set it, and who needs none"
_SCRIPT = "redis.call('XADD', KEYS[1], '1-0', 'a', 'b'); return redis.call('PEXPIRE', KEYS[1], 60000)"


async def try_database(settings: Settings, connection: Connection) -> list[Check]:
    """Use Postgres as the processes do. What it leaves behind is a record in the WAL."""
    trials: dict[str, Callable[[Settings, Connection], Awaitable[Check]]] = {
        "login": _login, "primary": _primary, "commit": _commit, "prepared statements": _prepared,
        "LISTEN": _listen,
    }  # fmt: skip
    checks = []
    for name, trial in trials.items():
        try:
            async with asyncio.timeout(_ANSWER_S):
                checks.append(await trial(settings, connection))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, StartError, TimeoutError) as error:
            found = str(error) or f"nothing within {_ANSWER_S:g} s"
            checks.append(fail(name, f"does not work: {found}", _POOLER))
    return checks


async def _login(settings: Settings, connection: Connection) -> Check:
    asked = unquote(urlsplit(settings.require_database_url()).username or "")
    is_now = await connection.fetchval("SELECT current_user")
    if asked and is_now != asked:
        return fail("login", f"is {is_now}, where DATABASE_URL says {asked}", _POOLER)
    asked_for = server_settings("")
    wanted = {name: asked_for[name] for name in _ASKED}
    now = {name: await connection.fetchval("SELECT current_setting($1)", name) for name in wanted}
    if dropped := [f"{name} is {now[name]}" for name in wanted if now[name] != wanted[name]]:
        advice = "ALTER ROLE … SET for this login what the pooler drops: docs/operations.md"
        return warn("login", f"{is_now}, but {', '.join(dropped)}", advice)
    return ok("login", f"{is_now}, with its time limits")


async def _primary(settings: Settings, connection: Connection) -> Check:
    primary = await primary_of(connection)
    if primary is None:
        return warn("primary", "a replica, which takes nothing", "let DATABASE_URL lead to the primary")
    try:
        mark = PrimaryMark(settings, "doctor")
        await PrimaryFence(settings.require_database_url(), mark.published)(primary)
    except TwoPrimariesError as error:
        return fail("primary", str(error), "docs/runbook.md, TwoPrimaries")
    return ok("primary", f"timeline {primary.timeline}, and no later one is known")


async def _commit(settings: Settings, connection: Connection) -> Check:
    began_s = time.perf_counter()
    async with connection.transaction():
        await connection.execute("SELECT pg_logical_emit_message(true, 'neurocards', 'doctor')")
    return ok("commit", f"durable after {(time.perf_counter() - began_s) * 1000:.0f} ms")


async def _prepared(settings: Settings, connection: Connection) -> Check:
    statement = await connection.prepare("SELECT $1::int + 1")
    for number in range(3):
        async with connection.transaction():
            assert await statement.fetchval(number) == number + 1
    return ok("prepared statements", "last from one transaction to the next")


async def _listen(settings: Settings, connection: Connection) -> Check:
    channel, heard = f"doctor_{new_id()}", asyncio.Event()
    await connection.add_listener(channel, lambda *_: heard.set())
    other = await connect(settings, "doctor")
    try:
        await other.execute(f"NOTIFY {channel}")
    finally:
        await other.close()
    async with asyncio.timeout(_ANSWER_S / 2):
        await heard.wait()
    return ok("LISTEN", "hears what another connection says")


async def try_redis(client: Redis) -> Check:
    """A script writes into a stream, a group reads it and acknowledges; all of it goes again."""
    key = doctor_key(new_id())
    try:
        await client.eval(_SCRIPT, 1, key)
        await client.xgroup_create(key, "doctor", "0")
        read = await client.xreadgroup("doctor", "doctor", {key: ">"})
        if not read or await client.xack(key, "doctor", "1-0") != 1:
            return fail("Redis streams", "a group does not get what was written", "is it Redis 6.2 or newer?")
        await client.delete(key)
    except RedisError as error:
        advice = "name a server that takes writes; the login needs scripts, streams and our keys"
        return fail("Redis streams", f"do not work: {error}", advice)
    return ok("Redis streams", "script, stream and group work")


async def check_files(settings: Settings) -> list[Check]:
    """Store a file, get it back, by PUBLIC_URL too, and delete it."""
    blobs, key, nonce = open_blobs(settings), f"doctor/{new_id()}.txt", new_id().encode()
    if not blobs.exists:
        return [ok("files", "no folder yet: the first start makes it")]
    try:
        await blobs.put(key, one_chunk(nonce), size_bytes_max=1000)
        try:
            right = await blobs.get(key) == nonce
            kept = await _written_once(blobs, key)
            reading = await _reader(settings, key, nonce)
            outside = [await _by_link(settings, key, nonce)] if settings.public_url else []
        finally:
            await blobs.delete(key)
    except (BlobError, OSError) as error:
        advice = "is the disk there, writable, and not full? It is the folder blobs in NEUROCARDS_DATA_DIR"
        if settings.blobs_url:
            advice = "may BLOBS_KEY write, read, list and delete below BLOBS_URL? See docs/operations.md"
        return [fail("files", f"cannot be kept: {error}", advice)]
    said = ok("files", "stored, read and deleted")
    if not kept:
        advice = "take a server that knows If-None-Match, as AWS, MinIO, SeaweedFS and Ceph do"
        said = fail("files", "are overwritten: two workers could exchange a video that the log names", advice)
    return [said if right else fail("files", "come back changed", "look at the disk"), *reading, *outside]


async def _reader(settings: Settings, key: str, nonce: bytes) -> list[Check]:
    """Whether the key of who only reads does that, and no more."""
    if not settings.blobs_read_key:
        return []
    blobs = open_blobs(settings.replace(blobs_key=()))
    try:
        right = await blobs.get(key) == nonce
    except (BlobError, OSError) as error:
        return [fail("files, reading", str(error), "mend BLOBS_READ_KEY: web and notifier have no other")]
    try:
        await blobs.delete(key)
    except OSError:
        return [ok("files, reading", "read, and not deleted, with BLOBS_READ_KEY")] if right else []
    advice = "give web and notifier a key that may only read"
    return [warn("files, reading", "BLOBS_READ_KEY may delete", advice)]


async def _written_once(blobs: BlobStore, key: str) -> bool:
    try:
        await blobs.put(key, one_chunk(b"other"), size_bytes_max=1000)
    except BlobConflictError:
        return True
    return False


async def _by_link(settings: Settings, key: str, nonce: bytes) -> Check:
    """Whether a link as sellers get it leads to `web`: name, certificate, proxy, secret, folder."""
    try:
        url = FileLinks(settings).url(key, int(time.time()) + 60)
        async with httpx.AsyncClient(verify=tls_context(), timeout=_ANSWER_S * 2) as client:
            answer = await client.get(url)
    except SettingsError:
        return fail("PUBLIC_URL", "links cannot be signed", "set CALLBACK_SECRET")
    except httpx.HTTPError as error:
        why = str(error) or type(error).__name__
        advice = "does web run, the name resolve, the certificate fit? Some networks cannot see themselves"
        return warn("PUBLIC_URL", f"does not answer from here: {why}", advice)
    if answer.status_code == 200 and answer.content == nonce:
        return ok("PUBLIC_URL", "web answers there with a file of ours, stored a moment ago")
    advice = "another program answers there, or web has another CALLBACK_SECRET or folder of files"
    return fail("PUBLIC_URL", f"answers {answer.status_code} to a link of ours", advice)
