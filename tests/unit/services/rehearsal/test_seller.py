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
    assert callback_data.Again(draft="d").pack() == seller.AGAIN + "d:"
    assert callback_data.Repair(draft="d", part="").pack() == seller.REPAIR + "d:"


def test_what_ends_an_orders_jobs() -> None:
    def message(number: int, again: str = "", **more: Any) -> dict[str, Any]:
        buttons = [[{"text": "again", "callback_data": f"{seller.AGAIN}{again}:"}]] if again else []
        return {"message_id": number, "reply_markup": {"inline_keyboard": buttons}, **more}

    def video(number: int, card: int) -> dict[str, Any]:
        return message(number, video={}, reply_to_message={"message_id": card})

    card, reason = message(1, "o", photo=[]), message(4, "o")
    told = [
        card,
        message(2, reply_to_message={"message_id": 1}),
        video(3, 1),
        reason,
        video(5, 9),
        message(6, "p"),
    ]
    for known in (None, 1):
        assert [m["message_id"] for m in seller.finals(told, "o", known)] == [3, 4]
    assert [m["message_id"] for m in seller.finals(told[1:], "o")] == [4]
