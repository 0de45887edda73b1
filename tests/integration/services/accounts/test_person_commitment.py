"""An account that was given to somebody else is found; of an erased person nothing is left to guess from."""

import asyncio
import hashlib
from pathlib import Path

import asyncpg
import pytest
from prometheus_client import REGISTRY

from ledger.log.ledger import Ledger
from services.accounts.erase import Forgetting
from services.accounts.personal_data import PersonalData
from services.maintenance.verification import Verification
from services.platform.blobs import FolderBlobs
from services.platform.settings import Settings
from tests.support.fork_server import neurocards
from tests.support.order_fixture import OrderFixture, Seller
from tests.support.services import clean_environment

POINTED = (
    "UPDATE accounts SET telegram_id = 666 WHERE account = $1",
    "UPDATE accounts SET salt = sha256('another') WHERE account = $1",
    "WITH gone AS (DELETE FROM accounts WHERE account = $1 RETURNING account) "
    "INSERT INTO accounts (account, telegram_id) SELECT account, 667 FROM gone",
)


@pytest.fixture
async def sellers(ledger: Ledger, pool: "asyncpg.Pool[asyncpg.Record]", tmp_path: Path) -> list[Seller]:
    studio = OrderFixture(ledger, pool, FolderBlobs(tmp_path))
    return [await studio.seller() for _ in POINTED]


async def opened(ledger: Ledger, account: str) -> str:
    (first, *_) = await ledger.read.stream(f"account-{account}")
    return first.data


async def test_the_opening_commits_to_salt_and_telegram_id(
    ledger: Ledger, pool: "asyncpg.Pool[asyncpg.Record]", sellers: list[Seller]
) -> None:
    seller = sellers[0]
    salt = await pool.fetchval("SELECT salt FROM accounts WHERE account = $1", seller.account)
    assert len(salt) == 32
    told = hashlib.sha256(salt + seller.chat_id.to_bytes(8, "big")).hexdigest()
    assert f'"person":"{told}"' in await opened(ledger, seller.account)
    assert await PersonalData(pool).amiss() == []


async def test_an_account_given_to_somebody_else_is_found(
    settings: Settings, pool: "asyncpg.Pool[asyncpg.Record]", sellers: list[Seller], tmp_path: Path
) -> None:
    env = clean_environment(DATABASE_URL=settings.require_database_url())
    verify = await asyncio.to_thread(neurocards, ["users", "verify"], cwd=tmp_path, env=env)
    assert (verify.returncode, verify.stdout) == (0, "") and "3 accounts are whose" in verify.stderr
    with pytest.raises(asyncpg.GeneratedAlwaysError):
        await pool.execute("UPDATE accounts SET person = ''")
    for seller, pointed in zip(sellers, POINTED, strict=True):
        await pool.execute(pointed, seller.account)
    verify = await asyncio.to_thread(neurocards, ["users", "verify"], cwd=tmp_path, env=env)
    assert verify.returncode == 3
    assert [verify.stdout.count(seller.account) for seller in sellers] == [1, 1, 1]

    here = settings.model_copy(update={"data_dir": tmp_path})
    verification = Verification(here, pool, asyncio.Event(), first_s=0)
    assert await verification.run_once() == 1
    assert REGISTRY.get_sample_value("neurocards_verification_problems", {"kind": "person"}) == 3


async def test_of_an_erased_person_nothing_is_left_to_guess_from(
    settings: Settings,
    ledger: Ledger,
    pool: "asyncpg.Pool[asyncpg.Record]",
    sellers: list[Seller],
    tmp_path: Path,
) -> None:
    """Whoever has the log, all tables and every Telegram id: without the salt each id fits equally well."""
    seller = sellers[0]
    salt = await pool.fetchval("SELECT salt FROM accounts WHERE account = $1", seller.account)
    forgetting = Forgetting(settings, pool, ledger, FolderBlobs(tmp_path))
    await forgetting.forget(seller.account, actor="login:neurocards_operator", reason="asked")
    tables = await pool.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    for table in tables:
        text = await pool.fetchval(f"SELECT string_agg(t::text, ' ') FROM {table['relname']} t") or ""
        assert salt.hex() not in text, table
    back = await PersonalData(pool).account_of(seller.chat_id, "en")
    assert back.person not in await opened(ledger, seller.account)
    assert await PersonalData(pool).amiss() == []
