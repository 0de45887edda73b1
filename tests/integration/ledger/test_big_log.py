"""The benchmarks' generator writes a log that the ledger itself could have written."""

from collections import Counter

from ledger import commands as c
from tests.bench.big_log import customer, fill, life


async def test_a_generated_log_is_whole_and_the_ledger_goes_on_from_it(database_url, owner, ledger):
    indexes = "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'events'::regclass"
    before = {row[0] for row in await owner.fetch(indexes)}
    commands = list(customer(jobs=10))
    written = await fill(database_url, 500, commands=commands, abreast=2)
    per_life = sum(map(len, life(commands)))
    assert (written.accounts, written.events) == (-(-500 // per_life), written.accounts * per_life)
    assert await ledger.read.head() == written.head
    assert await owner.fetch("SELECT * FROM audit.chain_breaks") == []
    assert {row[0] for row in await owner.fetch(indexes)} == before
    types = Counter([event.type async for event in ledger.read.scan()])
    assert types["JobFailed"] == types["CreditsRefunded"] == written.accounts
    assert types["JobSucceeded"] + types["JobFailed"] == types["JobQueued"] == 10 * written.accounts
    last = f"{written.accounts - 1:08x}"
    balance = (await ledger.read.account(last)).balance
    assert balance == 2 + 12 - 10 + 1
    ordered = c.OrderVideos(last, "o", ("j",), 5, "m", "ugc", "p", "b", "ru", 900)
    receipt = await ledger.execute(ordered, key="order:o")
    assert receipt.position == written.head.position + 1
    assert (await ledger.read.account(last)).balance == 0
