"""The seller knows the buttons as a client sees them; they must be the bot's."""

from services.cli.demo import seller
from services.shared import buttons


def test_the_seller_looks_for_the_buttons_that_the_bot_has() -> None:
    assert buttons.AcceptTerms(version="1").pack().startswith(seller.ACCEPT_TERMS)
    assert buttons.Menu(action=buttons.MenuAction.CREATE).pack() == seller.CREATE
    assert buttons.Menu(action=buttons.MenuAction.CABINET).pack() == seller.CABINET
    assert buttons.Menu(action=buttons.MenuAction.RESUME).pack() == seller.RESUME
    assert buttons.ChooseStyle(style="ugc", flow="f").pack() == seller.STYLE + "ugc:f"
    assert buttons.SkipWishes.__prefix__ == seller.SKIP_WISHES
    assert buttons.ChooseCount(count=3, flow="f").pack() == seller.COUNT + "3:f"
    assert buttons.Drop(flow="f").pack() == seller.DROP + "f"
    assert buttons.Order(draft="d").pack() == seller.ORDER + "d"
    assert buttons.Again(draft="d").pack() == seller.AGAIN + "d"
