"""Users of the dashboard: one-time links, passwords and codes, notes of what they looked at.

Whatever is written goes through functions of the database (`services/migrations/0004_dashboard.sql`), which
hold the limits; here is proven who somebody is.
"""

import asyncio
import base64
import hmac
import secrets
import time
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from ledger.postgres import Pool, Reader
from ledger.sql import load_queries
from services.dashboard.routes import Role
from services.platform.ids import new_random_id
from services.platform.settings import Settings

query = load_queries("services.dashboard")

PASSWORD_CHARACTERS_MIN: Final = 12
CODE_S: Final = 30
"""How long a code holds; the one before and the one after are taken too."""
ISSUER: Final = "neurocards"
MEMORY_KIB: Final = 46 * 1024
NOBODYS: Final = (
    "$argon2id$v=19$m=47104,t=2,p=1$aNLNIBAIwmDxlGPcuh8yww$AJXVLewSIdVacMY6tezEv4bVamSeWElyKjzHXll9MmU"
)
"""Of a password that nobody knows: a name that nobody has costs as much as a real one."""
_AT_ONCE: Final = 2
"""Passwords hashed at once: each takes 46 MiB and a core."""


class User(msgspec.Struct, frozen=True):
    """`id` is random and stands in events as `user:<id>`; `name` is erasable. `session`: 0 for none."""

    id: str
    name: str
    role: Role
    locale: str = "ru"
    session: int = 0

    @property
    def actor(self) -> str:
        return f"user:{self.id}"


class Device(NamedTuple):
    """Whence a session comes; its new token's hash."""

    token_hash: bytes
    address: str
    agent: str


class Invited(msgspec.Struct, frozen=True):
    """Whom a link is for. `secret` makes the codes, once the link was used."""

    name: str
    role: str
    locale: str
    secret: bytes

    @property
    def typed(self) -> str:
        """The secret as it is typed, in groups of four."""
        text = base64.b32encode(self.secret).decode()
        return " ".join(text[at : at + 4] for at in range(0, len(text), 4))

    @property
    def address(self) -> str:
        """What an authenticator scans."""
        return _totp(self.secret).get_provisioning_uri(self.name, ISSUER)


class Users:
    """`pool` writes, unlike the pages'."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def invited(self, token: str) -> Invited | None:
        row = await self._pool.fetchrow(query("invited"), hashed(token))
        return None if row is None else Invited(*row)

    async def accept(
        self, token: str, password: str | None, step: int | None, locale: str, device: Device
    ) -> bool:
        """Use a link up and open a session; False: it is no good any more. None: a link alone lets in."""
        phc = None if password is None else await self._in_turn(hash_password, password)
        taken = await self._pool.fetchval(
            query("accept_invitation"), hashed(token), phc, step, locale, device.token_hash, device.address,
            device.agent,
        )  # fmt: skip
        return taken is not None

    async def log_in(self, name: str, password: str, code: str, device: Device) -> bool | None:
        """Open a session. False: something is wrong, and nobody is told what; None: too many attempts.

        Takes as long for a name that nobody has.
        """
        row = await self._pool.fetchrow(query("begin_login"), name, device.address)
        assert row is not None
        if row["refused"]:
            return None
        phc, secret = row["password_hash"] or NOBODYS, row["totp_secret"] or bytes(20)
        right = await self._in_turn(verify_password, password, phc)
        step = step_of(secret, code, time.time())
        if not right or step is None or row["password_hash"] is None:
            return False
        given = (row["id"], step, device.token_hash, device.address, device.agent)
        return bool(await self._pool.fetchval(query("open_session"), *given))

    async def end(self, session: int, user: str | None) -> None:
        """End a session of this user; None: of anybody."""
        await self._pool.execute(query("end_session"), session, user)

    async def seen(self, session: int) -> None:
        await self._pool.execute(query("touch_session"), session)

    async def choose_language(self, user: str, locale: str) -> None:
        await self._pool.execute(query("choose_language"), user, locale)

    async def note_read(self, actor: str, what: str, account: str, *, reason_needed: bool) -> bool:
        """Note a look at a person's data before it is shown; False: it may not be, a reason is missing."""
        return bool(await self._pool.fetchval(query("note_read"), actor, what, account, reason_needed))

    async def give_reason(self, actor: str, what: str, account: str, reason: str) -> None:
        await self._pool.execute(query("give_reason"), actor, what, account, reason)

    async def _in_turn(self, work: Any, *arguments: str) -> Any:
        async with self._turn:
            return await asyncio.to_thread(work, *arguments)


async def invite(connection: Reader, name: str, role: str) -> str:
    """Make a user, as an operator, or change their role; the token of a link."""
    token = secrets.token_urlsafe(32)
    secret = secrets.token_bytes(20)
    await connection.fetchrow(query("invite_user"), new_random_id(), name, role, hashed(token), secret)
    return token


def link_address(settings: Settings, token: str) -> str:
    return f"{settings.dashboard_base}/link/{token}"


async def nobody_has_a_password(connection: Reader) -> bool:
    row = await connection.fetchrow(query("nobody_has_a_password"))
    return row is None or bool(row[0])


def hashed(token: str) -> bytes:
    """SHA-256 of a token: the database never has the token itself."""
    return sha256(token.encode(errors="surrogatepass")).digest()


def hash_password(password: str) -> str:
    """Argon2id, as a PHC string."""
    salt = secrets.token_bytes(16)
    kdf = Argon2id(salt=salt, length=32, iterations=2, lanes=1, memory_cost=MEMORY_KIB)
    return kdf.derive_phc_encoded(password.encode())


def verify_password(password: str, phc: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(password.encode(), phc)
    except InvalidKey:
        return False
    return True


def step_of(secret: bytes, code: str, now_s: float) -> int | None:
    """Number of the half minute whose code it is; None: of none that is near."""
    now, found, totp = int(now_s) // CODE_S, None, _totp(secret)
    for step in (now - 1, now, now + 1):
        if hmac.compare_digest(totp.generate(step * CODE_S), code.encode()):
            found = step
    return found


def _totp(secret: bytes) -> TOTP:
    return TOTP(secret, 6, SHA1(), CODE_S)
