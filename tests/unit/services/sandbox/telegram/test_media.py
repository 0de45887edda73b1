"""Files both ways: sizes of photos, file_ids, limits, albums, ranges."""

import io
from pathlib import Path

import aiohttp
import av
import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest, TelegramEntityTooLarge
from aiogram.types import BufferedInputFile, InputMediaVideo, Message
from PIL import Image

from tests.unit.services.sandbox.telegram.conftest import Sandbox, picture


def film(path: Path, seconds: int = 2) -> bytes:
    target = path / "film.mp4"
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for shade in range(10 * seconds):
            frame = av.VideoFrame.from_image(Image.new("RGB", (128, 96), (shade * 9, 90, 90)))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return target.read_bytes()


def form(*files: tuple[str, bytes, str, str], **fields: str) -> aiohttp.FormData:
    data = aiohttp.FormData(quote_fields=False)  # as browsers and aiogram write file names
    for name, content, filename, kind in files:
        data.add_field(name, io.BytesIO(content), filename=filename, content_type=kind)
    for name, value in fields.items():
        data.add_field(name, value)
    return data


async def received(bot: Bot) -> list[Message]:
    return [update.message for update in await bot.get_updates() if update.message]


async def test_a_person_s_photo_comes_in_several_sizes(sandbox: Sandbox, bot: Bot) -> None:
    body = form(("photo", picture(1600, 1200), "a.jpg", "image/jpeg"), caption="кружка #1")
    await sandbox.person("5/send", body)

    [message] = await received(bot)

    assert message.photo and message.caption == "кружка #1"
    assert [(p.width, p.height) for p in message.photo] == [(90, 68), (320, 240), (800, 600), (1280, 960)]
    file = await bot.get_file(message.photo[-1].file_id)
    assert file.file_path and file.file_path.startswith("photos/") and file.file_size
    data = await bot.download(message.photo[-1])
    assert data
    with Image.open(data) as image:
        assert image.size == (1280, 960) and image.format == "JPEG"


async def test_a_small_photo_is_not_enlarged_and_loses_its_transparency(sandbox: Sandbox, bot: Bot) -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (60, 200), (0, 0, 0, 0)).save(buffer, "PNG")
    await sandbox.person("5/send", form(("photo", buffer.getvalue(), "a.png", "image/png")))
    [message] = await received(bot)
    assert message.photo and [(p.width, p.height) for p in message.photo] == [(27, 90), (60, 200)]
    data = await bot.download(message.photo[-1])
    assert data
    with Image.open(data) as image:
        assert image.getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize(
    "data", [b"this is no picture", picture(9_900, 200, "PNG"), picture(2_100, 100, "PNG")]
)
async def test_what_cannot_be_a_photo_is_sent_as_a_file(sandbox: Sandbox, bot: Bot, data: bytes) -> None:
    await sandbox.person("5/send", form(("photo", data, "x.png", "image/png")))
    [message] = await received(bot)
    assert message.photo is None and message.document and message.document.file_size == len(data)


async def test_a_photo_sent_as_a_file_is_untouched(sandbox: Sandbox, bot: Bot) -> None:
    original = picture(kind="PNG")
    await sandbox.person("5/send", form(("document", original, "../тест/а.png", "image/png")))
    [message] = await received(bot)
    assert message.document and message.document.mime_type == "image/png"
    assert message.document.file_name == "а.png" and message.document.thumbnail
    data = await bot.download(message.document)
    assert data and data.read() == original


async def test_too_big_to_download_is_said_by_getfile(sandbox: Sandbox, bot: Bot) -> None:
    size_bytes = 21 * 1024 * 1024
    await sandbox.person("5/send", form(("document", bytes(size_bytes), "big.jpg", "image/jpeg")))
    [message] = await received(bot)
    assert message.document and message.document.file_size == size_bytes
    with pytest.raises(TelegramBadRequest, match="file is too big"):
        await bot.get_file(message.document.file_id)
    with pytest.raises(TelegramBadRequest, match="wrong file_id or the file is temporarily unavailable"):
        await bot.get_file("AgACnonsense")


async def test_a_person_s_album_has_one_group_and_the_caption_first(sandbox: Sandbox, bot: Bot) -> None:
    photos = [("photo", picture(color=color), "a.jpg", "image/jpeg") for color in ("red", "green", "blue")]
    await sandbox.person("5/send", form(*photos, caption="три"))
    messages = await received(bot)
    assert [message.caption for message in messages] == ["три", None, None]
    assert len({message.media_group_id for message in messages}) == 1 and messages[0].media_group_id


async def test_the_bot_sends_a_video_and_it_plays_in_ranges(
    sandbox: Sandbox, bot: Bot, tmp_path: Path
) -> None:
    data = film(tmp_path)
    await sandbox.says(5, "hi")

    sent = await bot.send_video(5, BufferedInputFile(data, "promo.mp4"), caption="<b>готово</b>")

    assert sent.video and (sent.video.width, sent.video.height, sent.video.duration) == (128, 96, 2)
    assert sent.video.file_name == "promo.mp4" and sent.video.thumbnail and sent.caption == "готово"
    url = f"{sandbox.ctx.base_url}/chat/5/files/{sent.video.file_id}"
    async with sandbox.http.get(url) as whole:
        assert whole.content_type == "video/mp4" and await whole.read() == data
    async with sandbox.http.get(url, headers={"Range": "bytes=10-19"}) as part:
        assert part.status == 206 and await part.read() == data[10:20]
        assert part.headers["Content-Range"] == f"bytes 10-19/{len(data)}"


async def test_a_file_id_is_sent_again_without_upload(sandbox: Sandbox, bot: Bot, tmp_path: Path) -> None:
    await sandbox.says(5, "hi")
    first = await bot.send_video(5, BufferedInputFile(film(tmp_path), "a.mp4"))
    assert first.video
    again = await bot.send_video(5, first.video.file_id)
    assert again.video and again.video.file_unique_id == first.video.file_unique_id
    with pytest.raises(TelegramBadRequest, match="wrong file identifier/HTTP URL specified"):
        await bot.send_video(5, "BAACnonsense")
    with pytest.raises(TelegramBadRequest, match="can't use file of type Video as Photo"):
        await bot.send_photo(5, first.video.file_id)


async def test_a_video_that_is_none_becomes_a_document(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "hi")
    sent = await bot.send_video(5, BufferedInputFile(b"<html>not found</html>", "promo.mp4"))
    assert sent.video is None and sent.document


async def test_bad_photos_from_the_bot_are_refused(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "hi")
    with pytest.raises(TelegramBadRequest, match="IMAGE_PROCESS_FAILED"):
        await bot.send_photo(5, BufferedInputFile(b"x", "a.jpg"))
    with pytest.raises(TelegramBadRequest, match="PHOTO_INVALID_DIMENSIONS"):
        await bot.send_photo(5, BufferedInputFile(picture(2_100, 100), "a.jpg"))
    with pytest.raises(TelegramBadRequest, match="file must be non-empty"):
        await bot.send_document(5, BufferedInputFile(b"", "a.txt"))
    envelope = await sandbox.call("sendVideo", 400, chat_id=5)
    assert envelope["description"] == "Bad Request: there is no video in the request"
    long = await sandbox.call("sendPhoto", 400, chat_id=5, photo="x", caption="x" * 1025)
    assert long["description"] == "Bad Request: message caption is too long"


async def test_more_than_fifty_megabytes_are_refused_with_413(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "hi")
    size_bytes = 50 * 1024 * 1024 + 1
    with pytest.raises(TelegramEntityTooLarge, match=f"file of size {size_bytes} is too big to be uploaded"):
        await bot.send_document(5, BufferedInputFile(bytes(size_bytes), "big.bin"))


async def test_the_bot_swaps_media(sandbox: Sandbox, bot: Bot, tmp_path: Path) -> None:
    await sandbox.says(5, "hi")
    sent = await bot.send_photo(5, BufferedInputFile(picture(), "a.jpg"), caption="<i>старое</i>")
    assert sent.photo and sent.caption == "старое"
    swapped = await bot.edit_message_media(
        InputMediaVideo(media=BufferedInputFile(film(tmp_path), "c.mp4"), caption="новое"),
        chat_id=5,
        message_id=sent.message_id,
    )
    assert isinstance(swapped, Message) and swapped.video and not swapped.photo and swapped.caption == "новое"
    with pytest.raises(TelegramBadRequest, match="there is no text in the message to edit"):
        await bot.edit_message_text("x", chat_id=5, message_id=sent.message_id)


async def test_a_page_sent_as_a_file_cannot_act_as_ours(sandbox: Sandbox, bot: Bot) -> None:
    body = form(("document", b"<script>alert(1)</script>", "x.html", "text/html"))
    sent = (await sandbox.person("5/send", body))["message"]
    url = f"{sandbox.ctx.base_url}/chat/5/files/{sent['document']['file_id']}"
    async with sandbox.http.get(url) as response:
        assert response.headers["Content-Disposition"].startswith("attachment")
        assert response.headers["Content-Security-Policy"] == "sandbox"
