"""Promo codes made, listed and disabled by an operator: shown first, asked for, each an event."""

import asyncio
import json
import subprocess

from ledger import commands as c
from ledger.promotions import commands as g
from tests.support.fork_server import neurocards
from tests.support.services import clean_environment

WHY = ("--reason", "spring sale")


async def test_a_code_is_made_listed_and_disabled(tmp_path, database_url, ledger):
    env = clean_environment(DATABASE_URL=database_url)

    async def promo(*words: str) -> "subprocess.CompletedProcess[str]":
        return await asyncio.to_thread(neurocards, ["promo", *words], cwd=tmp_path, env=env)

    create = ("create", "spring-25", "--credits", "3", "--uses", "2", "--life-days", "30", *WHY)
    shown = await promo(*create, "-o", "json", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)[0]["code"] == "SPRING-25"
    assert "https://t.me/<bot>?start=promo_SPRING-25" in shown.stderr  # Telegram does not answer here
    assert (await promo(*create)).returncode == 2
    assert (await ledger.read.promo("SPRING-25")).created is None
    assert "position 1" in (await promo(*create, "--yes")).stderr
    assert "nothing was changed" in (await promo(*create, "--yes")).stderr
    other = await promo("create", "SPRING-25", "--credits", "4", "--uses", "2", *WHY, "--yes")
    assert other.returncode == 1 and "exists already" in other.stderr

    await ledger.execute(c.OpenAccount("a", "0" * 64), key="open:a")
    await ledger.execute(c.AcceptTerms("a", "1", 0), key="terms:a")
    redeem = g.RedeemPromo("SPRING-25", "a")
    await ledger.execute(redeem, key=g.key_of(redeem))
    assert (await promo("disable", "Spring-25", *WHY, "--yes")).returncode == 0
    listed = json.loads((await promo("list", "-o", "json")).stdout)[0]
    told = ("code", "credits", "used", "uses_max", "disabled", "actor")
    assert [listed[name] for name in told] == ["SPRING-25", 3, 1, 2, True, "login:neurocards_operator"]
    missing = await promo("disable", "WINTER", *WHY, "--yes")
    assert missing.returncode == 4 and "no code WINTER" in missing.stderr
