"""What a person does with messages, as aiogram's client hears of it."""

from aiogram import Bot
from aiogram.types import MessageOriginUser, Update
from aiohttp import FormData

from tests.unit.services.sandbox.telegram.conftest import Sandbox, picture


async def test_a_reply_carries_what_it_answers_and_no_deeper(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "hi")
    asked = await bot.send_message(5, "вопрос", reply_to_message_id=1)

    await sandbox.person("5/send", {"text": "ответ", "reply_to": asked.message_id})
    form = FormData({"caption": "вот", "reply_to": str(asked.message_id)})
    form.add_field("photo", picture(), filename="a.jpg", content_type="image/jpeg")
    await sandbox.person("5/send", form)

    _, text, photo = [update.message for update in await bot.get_updates()]
    assert text and text.text == "ответ" and photo and photo.caption == "вот" and photo.photo
    for answer in (text, photo):
        quoted = answer.reply_to_message
        assert quoted and quoted.text == "вопрос" and quoted.reply_to_message is None
        assert quoted.from_user and quoted.from_user.is_bot
    await sandbox.person("5/send", {"text": "ответ", "reply_to": 999}, status=404)
    await sandbox.person("6/send", {"text": "ответ", "reply_to": asked.message_id}, status=404)


async def test_own_words_are_edited_for_two_days_and_once_per_change(sandbox: Sandbox, bot: Bot) -> None:
    said = await sandbox.says(5, "кружка")
    form = FormData()
    form.add_field("photo", picture(), filename="a.jpg", content_type="image/jpeg")
    photo = (await sandbox.person("5/send", form))["message"]
    answer = await bot.send_message(5, "ответ")
    start = (await bot.get_updates())[-1].update_id + 1

    for message_id, words in ((said["message_id"], "чашка"), (photo["message_id"], "вид сбоку")):
        for _ in "12":  # what stays as it was is not told
            await sandbox.person("5/edit", {"message_id": message_id, "text": words})

    edits = [update.edited_message for update in await bot.get_updates(offset=start)]
    assert [edit and (edit.text or edit.caption) for edit in edits] == ["чашка", "вид сбоку"]
    assert all(edit and edit.edit_date for edit in edits) and edits[1] and edits[1].photo
    await sandbox.person("5/edit", {"message_id": answer.message_id, "text": "x"}, status=403)
    await sandbox.person("5/edit", {"message_id": photo["message_id"], "text": "я" * 1025}, status=400)
    sandbox.clock.advance(48 * 3600 + 1)
    await sandbox.person("5/edit", {"message_id": said["message_id"], "text": "x"}, status=403)


async def test_a_forward_says_whose_the_message_was_and_brings_no_buttons(sandbox: Sandbox, bot: Bot) -> None:
    said = await sandbox.says(5, "hi")
    button = {"inline_keyboard": [[{"text": "Да", "callback_data": "yes"}]]}
    sent = await sandbox.call("sendMessage", chat_id=5, text="готово", reply_markup=button)

    sandbox.clock.advance(60)
    first = (await sandbox.person("5/forward", {"message_id": sent["result"]["message_id"]}))["message"]
    await sandbox.person("5/forward", {"message_id": first["message_id"]})
    await sandbox.person("5/edit", {"message_id": first["message_id"], "text": "x"}, status=403)

    updates: list[Update] = await bot.get_updates()
    for message in [update.message for update in updates[1:]]:
        assert message and message.text == "готово" and message.reply_markup is None
        assert message.from_user and message.from_user.id == 5
        origin = message.forward_origin
        assert isinstance(origin, MessageOriginUser) and origin.sender_user.is_bot
        assert int(origin.date.timestamp()) == said["date"] == int(message.date.timestamp()) - 60
        assert message.forward_from == origin.sender_user
    await sandbox.person("5/forward", {"message_id": 999}, status=404)


async def test_a_reset_empties_the_chat_and_the_bot_may_still_write(sandbox: Sandbox, bot: Bot) -> None:
    for user_id in (5, 6):
        await sandbox.says(user_id, "hi")
    await bot.send_message(5, "ответ")
    await sandbox.person("5/block")
    before = await sandbox.sees(5)

    await sandbox.person("5/reset")

    assert (await sandbox.sees(5))["messages"] == []
    news = await sandbox.sees(5, before["next"])
    assert [message["deleted"] for message in news["messages"]] == [True, True]
    change = (await bot.get_updates())[-1].my_chat_member
    assert change and change.new_chat_member.status == "member"
    await bot.send_message(5, "снова")
    assert [message["text"] for message in (await sandbox.sees(5))["messages"]] == ["снова"]
    assert len((await sandbox.sees(6))["messages"]) == 1
