"""Earlier orders made again, whole or with another part; "tell me when it works"."""

from aiogram import Router
from aiogram.types import CallbackQuery
from aiogram.utils.i18n import gettext as _
from msgspec.structs import replace

from services.accounts.drafts import Draft, View
from services.adapters.telegram.callback_data import Again, Repair, TellMe
from services.bot.card_message import show
from services.bot.handlers.order import open_draft
from services.bot.handlers.place_order import begin, own_draft
from services.bot.replies import Conversation
from services.bot.screens import card
from services.platform.ids import new_id

router = Router(name="repair")


@router.callback_query(Again.filter())
async def again(query: CallbackQuery, callback_data: Again, chat: Conversation) -> None:
    """Order again with earlier photo and words, on a new card."""
    if (earlier := await own_draft(chat, callback_data.draft)) is not None:
        await _copy(chat, replace(earlier, view=callback_data.view))


@router.callback_query(Repair.filter())
async def repair(query: CallbackQuery, callback_data: Repair, chat: Conversation) -> None:
    """Order what failed once more; the part that must change is waited for at once."""
    earlier = await own_draft(chat, callback_data.draft)
    if earlier is None:
        return
    jobs = [await chat.shop.ledger.read.job(job) for job in earlier.jobs]
    failed = sum(job.outcome == "failed" for job in jobs)
    view: View = callback_data.part
    if view == "product" and card.own_prompt(earlier):
        view = "wishes"
    if await _copy(chat, replace(earlier, number=failed or earlier.number, view=view)):
        await chat.remove_buttons()


async def _copy(chat: Conversation, earlier: Draft) -> bool:
    """Make a draft of the same; False when it cannot be, which they are told."""
    if (draft := await open_draft(chat)) is not None:
        same = draft.changed_by == chat.update_id  # the same update once more
        if same:
            await show(chat, draft)
        else:
            await chat.send_screen(card.in_the_making(draft), answer_to=draft.message_id or 0)
        return same
    blobs, people = chat.shop.blobs, chat.shop.people
    if not await people.use_blob(earlier.photo) or await blobs.size_bytes(earlier.photo) is None:
        await chat.send_screen(card.photo_gone())
        return False
    copy = replace(earlier, draft=new_id(), brief=new_id(), message_id=None, album="")
    await begin(chat, replace(copy, chat_id=chat.person.chat_id, changed_by=chat.update_id))
    return True


@router.callback_query(TellMe.filter())
async def tell_me(query: CallbackQuery, callback_data: TellMe, chat: Conversation) -> None:
    if callback_data.draft and await own_draft(chat, callback_data.draft) is None:
        return
    await chat.shop.drafts.tell_when_it_works(chat.person.account, callback_data.draft, chat.update_id)
    text = _("🔔 I will write to you as soon as it works. I watch for three days.")
    await chat.answer_tap(text, alert=True)
