"""A photo for which there is no room: its seller reads of a hitch, and the order goes on when there is."""

from pathlib import Path

from tests.integration.services.bot.people import BotWorld, Visitor, picture
from tests.support.small_disk import small_disk


async def test_a_photo_waits_for_room_and_nothing_is_charged_meanwhile(
    visitor: Visitor, world: BotWorld
) -> None:
    await visitor.enter()
    before = len(world.bot.log)
    with small_disk(Path(world.bot._env["NEUROCARDS_DATA_DIR"]) / "blobs", 4) as disk:
        disk.fill()
        await visitor.send(("cup.jpg", picture(), "image/jpeg"))
        await visitor.hears("A technical hitch on our side")
        assert (await visitor.books())[1:] == (0, 0)
        disk.free()
        await visitor.hears("describe the product")
        assert not list(disk.folder.glob(".partial/.*")), "what was begun in vain is gone"
    assert world.bot.log[before:].count("trouble_met") == 1
