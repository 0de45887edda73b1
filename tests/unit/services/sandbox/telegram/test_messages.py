"""Messages both ways, through aiogram's client."""

import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest, TelegramForbiddenError
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup

from tests.support.each import each
from tests.unit.services.sandbox.telegram.conftest import Sandbox


async def test_a_person_writes_and_the_bot_gets_it(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "/start ref_7")

    [update] = await bot.get_updates()

    message = update.message
    assert message and message.text == "/start ref_7"
    assert message.from_user and message.from_user.language_code == "ru"
    assert message.chat.id == 5 and message.chat.type == "private"
    assert message.entities and message.entities[0].extract_from(message.text) == "/start"


async def test_html_becomes_text_and_entities_counted_in_utf16(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "hi")

    sent = await bot.send_message(5, "😀 <b>жирный <i>и курсив</i></b> &lt;ok&gt;")

    assert sent.text == "😀 жирный и курсив <ok>"
    assert sent.entities
    assert [(e.type, e.offset, e.length) for e in sent.entities] == [("bold", 3, 15), ("italic", 10, 8)]
    assert sent.entities[0].extract_from(sent.text) == "жирный и курсив"
    assert sent.html_text == "😀 <b>жирный <i>и курсив</i></b> &lt;ok&gt;"


@each(
    ("text", "complaint"),
    [
        ("<b>x", "can't parse entities: Can't find end tag corresponding to start tag \"b\""),
        ("Я <x>", 'can\'t parse entities: Unsupported start tag "x" at byte offset 3'),
        ("ab <b", "can't parse entities: Unclosed start tag at byte offset 3"),
        ("ab</b>", "can't parse entities: Unexpected end tag at byte offset 2"),
        (
            "<b>a</i>",
            'can\'t parse entities: Unmatched end tag at byte offset 4, expected "</b>", found "</i>"',
        ),
        ("<span>x</span>", 'can\'t parse entities: Tag "span" must have class "tg-spoiler" at byte offset 0'),
        (" \n ", "message text is empty"),
        ("x" * 4097, "message is too long"),
    ],
)
async def test_unusable_text_is_refused_in_the_server_s_words(
    sandbox: Sandbox, bot: Bot, text: str, complaint: str
) -> None:
    await sandbox.says(5, "hi")
    with pytest.raises(TelegramBadRequest) as refused:
        await bot.send_message(5, text)
    assert refused.value.message == f"Bad Request: {complaint}"


async def test_a_keyboard_reaches_the_person(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "hi")
    inline = InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="Да", callback_data="yes")]])

    under = await bot.send_message(5, "выбор", reply_markup=inline)

    assert under.reply_markup and under.reply_markup.model_dump() == inline.model_dump()
    seen = (await sandbox.sees(5))["messages"]
    assert seen[1]["reply_markup"]["inline_keyboard"] == [[{"text": "Да", "callback_data": "yes"}]]


@each(
    ("markup", "complaint"),
    [
        ("{", "can't parse reply keyboard markup JSON object"),
        ("[]", "object expected as reply markup"),
        ({"keyboard": [[{"text": "x"}]]}, "only inline keyboards are part of this sandbox"),
        ({"inline_keyboard": [[{"text": "x", "callback_data": "я" * 33}]]}, "BUTTON_DATA_INVALID"),
        (
            {"inline_keyboard": [[{"text": "x"}]]},
            "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard",
        ),
    ],
)
async def test_unusable_keyboards_are_refused(sandbox: Sandbox, markup: object, complaint: str) -> None:
    await sandbox.says(5, "hi")
    envelope = await sandbox.call("sendMessage", 400, chat_id=5, text="x", reply_markup=markup)
    assert envelope == {"ok": False, "error_code": 400, "description": f"Bad Request: {complaint}"}


async def test_edits_come_again_with_a_new_seq(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "hi")
    sent = await bot.send_message(5, "в очереди")
    before = await sandbox.sees(5)

    edited = await bot.edit_message_text("<b>готово</b>", chat_id=5, message_id=sent.message_id)

    assert not isinstance(edited, bool)
    assert edited.text == "готово" and edited.edit_date
    news = await sandbox.sees(5, before["next"])
    assert [(m["message_id"], m["text"]) for m in news["messages"]] == [(sent.message_id, "готово")]
    assert news["messages"][0]["seq"] == news["next"] > before["next"]


async def test_an_edit_that_changes_nothing_is_refused(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "hi")
    sent = await bot.send_message(5, "раз")
    with pytest.raises(TelegramBadRequest, match="message is not modified: specified new message content"):
        await bot.edit_message_text("раз", chat_id=5, message_id=sent.message_id)
    with pytest.raises(TelegramBadRequest, match="message to edit not found"):
        await bot.edit_message_text("два", chat_id=5, message_id=999)
    with pytest.raises(TelegramBadRequest, match="message can't be edited"):
        await bot.edit_message_text("два", chat_id=5, message_id=1)
    with pytest.raises(TelegramBadRequest, match="there is no caption in the message to edit"):
        await bot.edit_message_caption(chat_id=5, message_id=sent.message_id, caption="x")


async def test_editing_without_a_keyboard_takes_it_away(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "hi")
    inline = InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="Да", callback_data="yes")]])
    sent = await bot.send_message(5, "раз", reply_markup=inline)

    edited = await bot.edit_message_reply_markup(chat_id=5, message_id=sent.message_id, reply_markup=None)

    assert not isinstance(edited, bool) and edited.reply_markup is None
    assert "reply_markup" not in (await sandbox.sees(5))["messages"][-1]


async def test_a_deleted_message_is_gone_for_the_person(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "hi")
    sent = await bot.send_message(5, "раз")
    before = await sandbox.sees(5)

    assert await bot.delete_message(5, sent.message_id)

    assert [m["message_id"] for m in (await sandbox.sees(5))["messages"]] == [1]
    [gone] = (await sandbox.sees(5, before["next"]))["messages"]
    assert gone["deleted"] is True and gone["message_id"] == sent.message_id
    with pytest.raises(TelegramBadRequest, match="message to delete not found"):
        await bot.delete_message(5, sent.message_id)


async def test_old_messages_cannot_be_deleted(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "hi")
    sent = await bot.send_message(5, "раз")
    sandbox.clock.advance(48 * 3600 + 1)
    with pytest.raises(TelegramBadRequest, match="message can't be deleted for everyone"):
        await bot.delete_message(5, sent.message_id)


async def test_whom_the_bot_may_not_write_to(sandbox: Sandbox, bot: Bot) -> None:
    with pytest.raises(TelegramBadRequest, match="chat not found"):
        await bot.send_message(5, "x")
    await sandbox.sees(5)  # the person has opened the page, and said nothing
    with pytest.raises(TelegramForbiddenError, match="bot can't initiate conversation with a user"):
        await bot.send_message(5, "x")
    await sandbox.says(5, "hi")
    await sandbox.person("5/block")
    with pytest.raises(TelegramForbiddenError, match="bot was blocked by the user"):
        await bot.send_message(5, "x")
    await sandbox.person("5/unblock")
    assert (await bot.send_message(5, "x")).text == "x"
    await sandbox.person("5/deactivate")
    with pytest.raises(TelegramForbiddenError, match="user is deactivated"):
        await bot.send_message(5, "x")


async def test_blocking_is_told_to_the_bot(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "hi")
    await sandbox.person("5/block")
    await sandbox.person("5/block")
    assert (await sandbox.person("5/send", {"text": "x"}, status=403))["error"]

    updates = await bot.get_updates()

    change = updates[-1].my_chat_member
    assert len(updates) == 2 and change
    assert (change.old_chat_member.status, change.new_chat_member.status) == ("member", "kicked")


async def test_replies_and_copies(sandbox: Sandbox, bot: Bot) -> None:
    asked = await sandbox.says(5, "вопрос")
    await sandbox.says(6, "hi")

    answer = await bot.send_message(5, "ответ", reply_to_message_id=asked["message_id"])
    copy = await bot.copy_message(6, 5, answer.message_id)

    assert answer.reply_to_message and answer.reply_to_message.text == "вопрос"
    seen = (await sandbox.sees(6))["messages"]
    assert [m["message_id"] for m in seen if m.get("text") == "ответ"] == [copy.message_id]
    with pytest.raises(TelegramBadRequest, match="message to be replied not found"):
        await bot.send_message(5, "x", reply_to_message_id=999)


async def test_a_person_s_long_text_arrives_as_several_messages(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "я" * 10_000)
    texts = [u.message.text for u in await bot.get_updates() if u.message and u.message.text]
    assert [len(text) for text in texts] == [4096, 4096, 1808]


async def test_a_person_cannot_send_nothing(sandbox: Sandbox) -> None:
    assert "empty" in (await sandbox.person("5/send", {"text": " \n"}, status=400))["error"]
    assert (await sandbox.person("5/send", {}, status=400))["ok"] is False


async def test_who_the_bot_is_and_whom_it_talks_to(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "hi")
    me = await bot.me()
    assert me.is_bot and me.id == 111111
    chat = await bot.get_chat(5)
    assert chat.type == "private" and chat.first_name
    assert (await bot.get_chat_member(5, 5)).status == "member"
    assert await bot.send_chat_action(5, "typing")
    with pytest.raises(TelegramBadRequest, match="wrong parameter action in request"):
        await bot.send_chat_action(5, "dancing")


async def test_the_language_is_the_person_s_choice(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.person("5/send?lang=en", {"text": "hi"})
    await sandbox.says(5, "again")
    languages = [
        u.message.from_user.language_code
        for u in await bot.get_updates()
        if u.message and u.message.from_user
    ]
    assert languages == ["en", "en"]
