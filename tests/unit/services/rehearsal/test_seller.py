"""The seller knows the buttons as a client sees them; they must be the bot's."""

from typing import Any

from services.adapters.telegram import callback_data
from services.rehearsal import seller


def test_the_seller_looks_for_the_buttons_that_the_bot_has() -> None:
    assert callback_data.AcceptTerms(version="1").pack().startswith(seller.ACCEPT_TERMS)
    assert callback_data.Menu(action=callback_data.MenuAction.CREATE).pack() == seller.CREATE
    assert callback_data.Menu(action=callback_data.MenuAction.CABINET).pack() == seller.CABINET
    made: dict[str, Any] = {"draft": "d", "version": 2}
    assert callback_data.CardButton(do="view", value="styles", **made).pack() == seller.STYLES + "d|2"
    assert callback_data.CardButton(do="view", value="wishes", **made).pack() == seller.WISHES + "d|2"
    assert callback_data.CardButton(do="view", value="numbers", **made).pack() == seller.NUMBERS + "d|2"
    assert callback_data.CardButton(do="style", value="ugc", **made).pack() == seller.STYLE + "ugc|d|2"
    assert callback_data.CardButton(do="number", value="3", **made).pack() == seller.NUMBER + "3|d|2"
    assert callback_data.CardButton(do="cancel", value="", **made).pack().startswith(seller.DROP)
    assert callback_data.Order(draft="d", version=2).pack() == seller.ORDER + "d:2"
    assert callback_data.Again(draft="d").pack() == seller.AGAIN + "d"
