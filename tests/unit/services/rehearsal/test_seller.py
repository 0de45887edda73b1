"""The seller knows the buttons as a client sees them; they must be the bot's."""

from services.adapters.telegram import callback_data
from services.rehearsal import seller


def test_the_seller_looks_for_the_buttons_that_the_bot_has() -> None:
    assert callback_data.AcceptTerms(version="1").pack().startswith(seller.ACCEPT_TERMS)
    assert callback_data.Menu(action=callback_data.MenuAction.CREATE).pack() == seller.CREATE
    assert callback_data.Menu(action=callback_data.MenuAction.CABINET).pack() == seller.CABINET
    assert callback_data.Menu(action=callback_data.MenuAction.RESUME).pack() == seller.RESUME
    assert callback_data.ChooseStyle(style="ugc", flow="f").pack() == seller.STYLE + "ugc:f"
    assert callback_data.SkipWishes.__prefix__ == seller.SKIP_WISHES
    assert callback_data.ChooseCount(count=3, flow="f").pack() == seller.COUNT + "3:f"
    assert callback_data.Drop(flow="f").pack() == seller.DROP + "f"
    assert callback_data.Order(draft="d").pack() == seller.ORDER + "d"
    assert callback_data.Again(draft="d").pack() == seller.AGAIN + "d"
