"""The cabinet's screens, as long as Telegram takes them."""

import html
import re

from ledger.accounts.lots import Lot
from ledger.accounts.state import AccountState
from services.bot.screens import cabinet
from services.generation.prompts.templates import length
from tests.support.bot_session import TEXTS

MESSAGE_MAX = 4096


def test_many_lots_with_ends_of_their_own_fit_into_the_overview() -> None:
    lots = tuple(Lot(n, 100, "correction", 1_900_000_000_000_000 + n * 86_400_000_000) for n in range(1, 200))
    with TEXTS.context(), TEXTS.use_locale("ru"):
        shown = cabinet.overview(AccountState(balance=19_900, lots=lots), [], invites=True)
    seen = html.unescape(re.sub(r"<[^>]+>", "", shown.text))
    assert length(seen) <= MESSAGE_MAX and seen.count("•") == 39 and "\n…\n" in seen
