"""What createTask refuses, and the sentences it refuses with."""

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from services.sandbox.kie.models import schemas
from tests.support.each import each
from tests.support.outside import KEY, photo
from tests.unit.services.sandbox.kie.conftest import MODEL, ask, create, send_file, upload

PATH = "/kie/api/v1/jobs/createTask"
_SAMPLES: dict[str, Any] = {"string": "x", "boolean": True, "integer": 5, "number": 0.5, "array": []}


async def sent(sandbox, model: str, given: Any) -> Any:
    return await sandbox.post(PATH, {"model": model, "input": given})


async def acceptable(sandbox, model: str) -> dict[str, Any]:
    """The least input this model accepts."""
    url = await upload(sandbox)
    given: dict[str, Any] = {}
    for name, rule in schemas()[model].items():
        if rule["required"]:
            value = rule["enum"][0] if "enum" in rule else _SAMPLES[rule["type"]]
            value = "a mug" if name == "prompt" else value
            given[name] = [url] if name == "image_urls" else url if name == "image_url" else value
    return given


async def test_every_model_takes_its_required_fields_and_misses_each_of_them(sandbox):
    sandbox.turn(rate_limit=0, paused_models=[])
    assert len(schemas()) >= 23
    for model, schema in schemas().items():
        given = await acceptable(sandbox, model)
        answer = await sent(sandbox, model, given)
        assert answer["code"] == 200, (model, answer)
        for name in [name for name, rule in schema.items() if rule["required"]]:
            if name == "multi_prompt":
                continue
            refused = await sent(sandbox, model, {k: v for k, v in given.items() if k != name})
            assert refused == {"code": 500, "msg": f"{name} is required", "data": None}, model


@each(
    ("change", "sentence"),
    [
        ({"duration": "5"}, "duration must be of type integer"),
        ({"duration": True}, "duration must be of type integer"),
        ({"duration": 16}, "duration must be between 4 and 15"),
        ({"generate_audio": "yes"}, "generate_audio must be of type boolean"),
        ({"aspect_ratio": "portrait"}, "aspect_ratio is not within the range of allowed options"),
        ({"resolution": "1080p"}, "resolution is not within the range of allowed options"),
        ({"prompt": "ab"}, "The text length cannot be less than 3: prompt"),
        ({"prompt": "a" * 20_001}, "The text length cannot exceed the maximum limit: prompt"),
        (
            {"reference_image_urls": ["https://a.example/1.jpg"] * 10},
            "exceeds the maximum number of items: 9",
        ),
        ({"reference_image_urls": ["https://a.example/1.jpg"]}, "are mutually exclusive"),
        ({"first_frame_url": "photos/1.jpg"}, "first_frame_url must be a public http(s) URL"),
        ({"first_frame_url": 7}, "first_frame_url must be of type string"),
    ],
)
async def test_wrong_inputs_are_refused_before_anything_is_billed(sandbox, change, sentence):
    answer = await ask(sandbox, **change)
    assert answer["code"] == 500
    assert sentence in answer["msg"]
    book = (await sandbox.get("/__sandbox/book"))["kie"]
    assert book["tasks"] == []
    assert book["balance"] == 1_000_000


async def test_a_ratio_the_model_has_not_is_refused(sandbox):
    given = {"prompt": "a mug", "first_frame_url": await upload(sandbox), "aspect_ratio": "9:16"}
    answer = await sent(sandbox, "wan/2-7-image-to-video", given)
    assert (answer["code"], answer["msg"]) == (422, "ratio is not supported for image-to-video")


async def test_models_that_are_unknown_paused_or_of_another_endpoint(sandbox):
    unknown = {"code": 422, "msg": "The model name you specified is not supported.", "data": None}
    assert await sent(sandbox, "no-such-model", {"prompt": "x"}) == unknown
    assert await sent(sandbox, "veo3_fast", {"prompt": "x"}) == unknown
    paused = {"code": 500, "msg": "This interface is temporarily paused.", "data": None}
    assert await sent(sandbox, "sora-2-image-to-video", {}) == paused, "closed since June 2026"
    sandbox.turn(paused_models=[MODEL])
    assert await ask(sandbox) == paused


@each("header", ["", "Bearer ", "Basic abc", "Token x"])
async def test_without_a_key_nothing_is_done(sandbox, header):
    headers = {"Authorization": header} if header else {}
    async with sandbox.http.post(sandbox.url + PATH, json={"model": MODEL}, headers=headers) as reply:
        assert reply.status == 200, "the code in the body is the real status"
        assert await reply.json() == {"code": 401, "msg": "You do not have access permissions"}


@each(
    ("body", "content_type"),
    [
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b"{}", "text/plain"),
        (b"\xff", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'{"model": "\\ud800"}', "application/json"),
    ],
)
async def test_bodies_that_are_no_json_object(sandbox, body, content_type):
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": content_type}
    async with sandbox.http.post(sandbox.url + PATH, data=body, headers=headers) as reply:
        assert reply.status == 200
        assert (await reply.json())["code"] == 400


async def test_statuses_follow_the_codes_when_asked(sandbox):
    sandbox.turn(http_statuses=True)
    async with sandbox.http.post(sandbox.url + PATH, json={"model": MODEL}) as reply:
        assert reply.status == 401


async def test_a_picture_with_a_bots_token_in_its_address_is_refused_and_told_of(sandbox):
    url = "https://api.telegram.org/file/bot111:secret/photos/1.jpg"
    answer = await ask(sandbox, first_frame_url=url)
    assert answer["code"] == 422
    assert "token" in answer["msg"]
    leaks = (await sandbox.get("/__sandbox/book"))["kie"]["token_leaks"]
    assert leaks == ["https://api.telegram.org/file/bot..."], "and the token is not passed on"


async def test_pictures_from_elsewhere_are_fetched_and_looked_at(sandbox):
    async def serve(request: web.Request) -> web.Response:
        bodies = {
            "good": photo(),
            "text": b"hello",
            "huge": photo() + bytes(11 * 1024 * 1024),
            "webp": photo(kind="WEBP"),
        }
        name = request.match_info["name"]
        return web.Response(body=bodies[name]) if name in bodies else web.Response(status=403)

    app = web.Application()
    app.router.add_get("/{name}", serve)
    server = TestServer(app)
    await server.start_server()
    try:
        found = {
            name: (await ask(sandbox, first_frame_url=str(server.make_url(f"/{name}"))))["code"]
            for name in ("good", "webp", "text", "huge", "missing")
        }
    finally:
        await server.close()
    found["refused"] = (await ask(sandbox, first_frame_url="http://127.0.0.1:9/x.jpg"))["code"]
    assert found == {"good": 200, "webp": 200, "text": 422, "huge": 422, "missing": 451, "refused": 451}


async def test_our_own_uploads_are_looked_at_too(sandbox):
    text = await upload(sandbox, b"not a picture", name="text.jpg")
    assert (await ask(sandbox, first_frame_url=text))["code"] == 422
    url = await upload(sandbox, name="old.jpg")
    sandbox.clock.advance(259_201)
    assert (await ask(sandbox, first_frame_url=url))["code"] == 451, "uploads live for three days"


async def test_twenty_creations_in_ten_seconds_per_key(sandbox):
    for _ in range(20):
        await create(sandbox)
    body = {"model": MODEL, "input": {"prompt": "a mug"}}
    headers = {"Authorization": f"Bearer {KEY}"}
    async with sandbox.http.post(sandbox.url + PATH, json=body, headers=headers) as reply:
        assert reply.status == 429
        assert await reply.json() == {"code": 429, "msg": "Rate limit exceeded"}
    await create(sandbox, key="another-key")
    sandbox.clock.advance(10)
    await create(sandbox)
    sandbox.turn(rate_limit=0)
    await asyncio.gather(*(create(sandbox) for _ in range(30)))


async def test_uploads(sandbox):
    data = photo()
    answer = await send_file(sandbox, data, uploadPath="images/user", fileName="копия.jpg")
    assert answer == {
        "success": True,
        "code": 200,
        "msg": "File uploaded successfully",
        "data": {
            "fileName": "копия.jpg",
            "filePath": "images/user/копия.jpg",
            "downloadUrl": answer["data"]["downloadUrl"],
            "fileSize": len(data),
            "mimeType": "image/jpeg",
            "uploadedAt": "2027-01-15T08:00:00.000Z",
        },
    }
    async with sandbox.http.get(answer["data"]["downloadUrl"]) as reply:
        assert (await reply.read(), reply.content_type) == (data, "image/jpeg")


@each(
    ("data", "folder", "message"),
    [
        (b"abc", None, "Missing required parameter: uploadPath"),
        (None, "images", "Missing required parameter: file"),
        (b"", "images", "The file is empty"),
        (b"abc", "/images/", "uploadPath must not begin or end with a slash"),
        (b"abc", "../../etc", "uploadPath must not begin or end with a slash"),
    ],
)
async def test_uploads_that_are_refused(sandbox, data, folder, message):
    fields = {} if folder is None else {"uploadPath": folder}
    assert await send_file(sandbox, data, **fields) == {"success": False, "code": 400, "msg": message}


async def test_uploads_need_a_key_and_the_same_name_overwrites_only_ones_own(sandbox):
    answer = await send_file(sandbox, b"abc", key="", uploadPath="images")
    assert answer == {"success": False, "code": 401, "msg": "Authentication failed: Invalid API Key"}
    first, mine = await upload(sandbox, photo(100, 100)), await upload(sandbox, photo(200, 200))
    theirs = await upload(sandbox, photo(300, 300), key="another-key")
    assert first == mine != theirs
    async with sandbox.http.get(mine) as reply:
        assert await reply.read() == photo(200, 200)
