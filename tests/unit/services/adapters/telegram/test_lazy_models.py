"""aiogram's models, built when they are used, resolve every name in them."""

import re
import subprocess
import sys
from typing import Any

from aiogram import methods, types
from aiogram.methods.base import Response

from tests.support.each import each
from tests.support.services import ROOT

SAMPLE = re.findall(
    r"\w+",
    """Update Message CallbackQuery InlineKeyboardMarkup ReplyParameters BotCommand
    GetUpdates DeleteWebhook SetWebhook GetMe GetFile SetMyCommands AnswerCallbackQuery
    SendMessage SendVideo EditMessageText EditMessageReplyMarkup DeleteMessage""",
)


@each("name", SAMPLE)
def test_what_we_use_can_be_built(name: str) -> None:
    model = getattr(types, name, None) or getattr(methods, name)
    assert model.model_rebuild() is not False
    assert model.__pydantic_complete__


@each("name", ["GetUpdates", "SendMessage", "EditMessageText", "GetFile", "GetMe"])
def test_an_answer_can_be_built(name: str) -> None:
    answer: Any = Response.__class_getitem__(getattr(methods, name).__returning__)
    assert answer.model_validate({"ok": False}).result is None


def test_no_name_means_two_things() -> None:
    assert not set(types.__all__) & set(methods.__all__)


def test_a_whole_update_is_read() -> None:
    sizes = [{"file_id": "f", "file_unique_id": "u", "width": 1, "height": 1}]
    said = {"message_id": 1, "date": 1, "chat": {"id": 1, "type": "private"}, "text": "да", "photo": sizes}
    update = types.Update.model_validate({"update_id": 1, "message": said})
    assert update.message is not None and update.message.text == "да"
    assert update.message.photo is not None and update.message.photo[0].file_id == "f"


def test_nothing_is_built_at_the_start() -> None:
    code = "import services.bot, aiogram.types as t, sys; sys.exit(t.Message.__pydantic_complete__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0
