"""The request as a handler sees it."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

import pytest
import trio
from starlette.datastructures import FormData
from starlette.requests import Request as StarlettesRequest

from triows import (
    JSON,
    ClientDisconnect,
    HTTPException,
    InvalidRequest,
    Limits,
    Param,
    Request,
    Route,
    Timeouts,
    Triows,
    Upload,
    UploadFile,
    use,
)
from triows.testing import open_app


def app_of(handler: Any, **options: Any) -> Triows:
    route = Route("")
    route.post(handler)
    return Triows(route, **options)


async def posted(handler: Any, *, limit: int = 100, **request: Any) -> Any:
    async with open_app(app_of(handler, limits=Limits(body=limit))) as client:
        return await client.post("/", **request)


async def whole(request: Request) -> bytes:
    return await request.body()


async def twice(request: Request) -> bytes:
    return await request.body() + await request.body()


async def in_parts(request: Request) -> bytes:
    return b"|".join([part async for part in request.stream()])


async def as_json(request: Request) -> Any:
    return await request.json()


async def as_form(request: Request) -> str:
    async with request.form() as form:
        assert isinstance(form, FormData)
        return str(form["a"])


@pytest.mark.parametrize(
    ("handler", "request_", "answer"),
    [
        (whole, {"content": b"12345"}, b"12345"),
        (twice, {"content": b"12345"}, b"1234512345"),
        (in_parts, {"content": b"12345"}, b"12345|"),
        (in_parts, {}, b""),
        (as_json, {"json": [1]}, b"[1]"),
        (as_form, {"data": {"a": "b"}}, b"b"),
        (as_form, {"files": {"other": b"x"}, "data": {"a": "b"}}, b"b"),
    ],
)
async def test_the_body_is_read_as_starlettes_is(handler, request_, answer):
    assert (await posted(handler, limit=1000, **request_)).content == answer


async def test_what_a_parameter_was_made_from_can_be_read_again():
    async def handler(data: bytes, request: Request) -> bool:
        return data == await request.body()

    assert (await posted(handler, content=b"12345")).json() is True


@pytest.mark.parametrize("handler", [whole, in_parts, as_json])
async def test_a_body_above_the_limit_is_answered_with_413(handler):
    async def chunks():
        yield b"1" * 50
        yield b"2" * 51

    assert (await posted(handler, content=b"1" * 101)).status_code == 413
    assert (await posted(handler, content=chunks())).status_code == 413


async def test_the_files_of_a_form_are_in_memory_until_it_is_closed():
    async def handler(request: Request) -> list[Any]:
        async with request.form() as form:
            file = form["f"]
            assert isinstance(file, UploadFile)
            found = [(await file.read()).decode(), file.filename, form.getlist("a")]
        with pytest.raises(ValueError, match="closed"):
            await file.read()
        return found

    request = {"files": {"f": ("a.txt", b"x")}, "data": {"a": ["1", "2"]}}
    response = await posted(handler, limit=1000, **request)
    assert response.json() == ["x", "a.txt", ["1", "2"]]


@pytest.mark.parametrize("files", [None, {"f": ("a.txt", b"x")}])
async def test_a_form_that_parameters_were_made_from_can_be_read_again(files):
    async def handler(a: Annotated[str, Param("form")], request: Request) -> bool:
        form = await request.form()
        return a == form["a"] and form is await request.form()

    response = await posted(handler, limit=1000, data={"a": "1"}, files=files)
    assert response.json() is True


def form_within(**limits: Any) -> Any:
    async def handler(request: Request) -> None:
        await request.form(**limits)

    return handler


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"max_files": 0}, "there are more files than 0"),
        ({"max_fields": 1}, "there are more fields than 1"),
        ({"max_part_size": 2}, "there are more bytes in the field 'b' than 2"),
    ],
)
async def test_a_handler_may_take_less_of_a_form_than_the_route(limits, words):
    request = {"files": {"f": ("a.txt", b"12345")}, "data": {"a": "1", "b": "123"}}
    response = await posted(form_within(**limits), limit=1000, **request)
    assert (response.status_code, response.json()["detail"]) == (413, words)
    within = form_within(max_files=1, max_fields=2, max_part_size=3)
    assert (await posted(within, limit=1000, **request)).status_code == 204


@pytest.mark.parametrize(
    ("type_", "content", "status"),
    [
        ("application/json", b"{}", 415),
        ("application/x-www-form-urlencoded", b"a=%ff", 422),
        ("multipart/form-data", b"a", 422),
        ("application/x-www-form-urlencoded", b"a=" + b"1" * 100, 413),
    ],
)
async def test_what_is_no_form_is_told_to_the_client(type_, content, status):
    response = await posted(form_within(), content=content, headers={"content-type": type_})
    assert response.status_code == status


FIRST = b'--B\r\nContent-Disposition: form-data; name="amount"\r\n\r\n100\r\n'
SECOND = b'--B\r\nContent-Disposition: form-data; name="to"\r\n\r\nbob\r\n--B--\r\n'
MULTIPART = {"content-type": "multipart/form-data; boundary=B"}
ENCODED = {"content-type": "application/x-www-form-urlencoded"}


async def patient(request: Request) -> JSON[Any]:
    while True:
        with trio.move_on_after(0.1):
            return (await request.form()).multi_items()


async def patient_with_starlettes(request: StarlettesRequest) -> JSON[Any]:
    while True:
        with trio.move_on_after(0.1):
            async with request.form() as form:
                return form.multi_items()


@pytest.mark.parametrize("handler", [patient, patient_with_starlettes])
@pytest.mark.parametrize(
    ("parts", "headers"),
    [
        ((FIRST, SECOND), MULTIPART),
        ((FIRST[:10], FIRST[10:] + SECOND), MULTIPART),
        ((FIRST[:-4], FIRST[-4:] + SECOND), MULTIPART),
        ((FIRST + SECOND[:-9], SECOND[-9:-2], SECOND[-2:]), MULTIPART),
        ((b"amount=1", b"00&to=b", b"ob"), ENCODED),
    ],
)
async def test_a_form_whose_reader_is_cancelled_and_tries_again_is_whole(
    handler, parts, headers, autojump_clock
):
    async with (
        open_app(app_of(handler, limits=Limits(body=1000))) as client,
        client.stream("POST", "/", headers=headers, sending=True) as session,
    ):
        for part in parts:
            await session.send(part)
            await trio.sleep(0.25)
        await session.send_end()
        assert await session.read() == b'[["amount","100"],["to","bob"]]'


async def reads_form(request: Request) -> None:
    await request.form()


async def reads_stream(request: Request) -> None:
    async for _ in request.stream():
        pass


async def reads_body(request: Request) -> None:
    await request.body()


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (reads_stream, reads_form),
        (reads_stream, reads_body),
        (reads_form, reads_stream),
        (reads_form, reads_body),
    ],
)
async def test_a_body_that_was_read_in_one_way_is_not_there_for_another(first, then):
    async def handler(request: Request) -> bool:
        await first(request)
        with pytest.raises(RuntimeError, match="comes only once"):
            await then(request)
        return True

    answer = await posted(handler, limit=1000, content=FIRST + SECOND, headers=MULTIPART)
    assert answer.json() is True


async def takes_parts(parts: AsyncIterator[bytes]) -> None:
    async for _ in parts:
        pass


async def takes_upload(upload: Upload) -> None:
    async for _ in upload:
        pass


async def takes_stream(request: Request) -> None:
    await reads_stream(request)


@pytest.mark.parametrize("takes", [takes_parts, takes_upload, takes_stream])
async def test_a_stream_that_a_factory_has_read_to_its_end_is_not_empty_for_the_handler(takes):
    async def handler(request: Request, _: Annotated[None, use(takes)]) -> bool:
        with pytest.raises(RuntimeError, match="comes only once"):
            await reads_stream(request)
        return True

    answer = await posted(handler, limit=1000, content=FIRST + SECOND, headers=MULTIPART)
    assert answer.json() is True


@pytest.mark.parametrize("given", [Upload, AsyncIterator[bytes]])
async def test_what_comes_can_not_be_iterated_over_twice(given):
    async def handler(parts: given) -> bool:
        async for _ in parts:
            pass
        with pytest.raises(RuntimeError, match="comes only once"):
            async for _ in parts:
                pass
        return True

    answer = await posted(handler, limit=1000, content=FIRST + SECOND, headers=MULTIPART)
    assert answer.json() is True


@pytest.mark.parametrize("given", [Upload, AsyncIterator[bytes]])
@pytest.mark.parametrize("then", [reads_form, reads_body])
async def test_what_another_parameter_has_taken_of_the_body_is_no_form(given, then):
    async def handler(parts: given, request: Request) -> bool:
        async for _ in parts:
            pass
        with pytest.raises(RuntimeError, match="comes only once"):
            await then(request)
        return True

    answer = await posted(handler, limit=1000, content=FIRST + SECOND, headers=MULTIPART)
    assert answer.json() is True


@pytest.mark.parametrize("given", [Upload, AsyncIterator[bytes]])
async def test_what_a_form_has_taken_is_there_for_no_other_parameter(given):
    async def handler(parts: given, request: Request) -> bool:
        await request.form()
        with pytest.raises(RuntimeError, match="comes only once"):
            await anext(parts)
        return True

    answer = await posted(handler, limit=1000, content=FIRST + SECOND, headers=MULTIPART)
    assert answer.json() is True


@pytest.mark.parametrize("headers", [MULTIPART, ENCODED])
async def test_two_tasks_do_not_share_a_form_that_comes(headers, autojump_clock):
    async def handler(request: Request, nursery: trio.Nursery) -> bool:
        async def second():
            with pytest.raises(trio.BusyResourceError):
                await request.form()

        nursery.start_soon(second)
        return "to" in await request.form()

    async with (
        open_app(app_of(handler, limits=Limits(body=1000))) as client,
        client.stream("POST", "/", headers=headers, sending=True) as session,
    ):
        await trio.sleep(1)
        await session.send(FIRST + SECOND if headers is MULTIPART else b"to=bob")
        await session.send_end()
        assert await session.read() == b"true"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Missing required body"),
        (b"{", "JSON is malformed: Expecting property name enclosed in double quotes: "
               "line 1 column 2 (char 1)"),
        (b"[1] 2", "JSON is malformed: Extra data: line 1 column 5 (char 4)"),
        (b'"\xff"', "Not valid UTF-8"),
        (b'{"a": ["\\ud800"]}', "JSON has half of a surrogate pair"),
        (b'{"\\udfff": 1}', "JSON has half of a surrogate pair"),
        (b"[" * 100_000, "Nested too deeply"),
        (b"1" * 5000, "JSON has a number with too many digits"),
    ],
)  # fmt: skip
async def test_what_is_no_json_is_told_to_the_client(content, message, caplog):
    response = await posted(as_json, limit=200_000, content=content)
    assert response.status_code == 422
    assert response.json()["errors"] == [{"location": "body", "name": "", "message": message}]
    assert not [one for one in caplog.records if one.levelname == "ERROR"]


async def test_an_escaped_character_of_two_halves_is_one():
    async def handler(request: Request) -> bool:
        return await request.json() == await request.json() == "\U0001f600"

    assert (await posted(handler, content=b'"\\ud83d\\ude00"')).json() is True


@pytest.mark.parametrize("kind", [InvalidRequest, HTTPException, ValueError, json.JSONDecodeError])
@pytest.mark.parametrize("content", [b"{", b"\xff", b'"\\ud800"'])
async def test_a_handler_can_catch_what_is_no_json_as_with_starlette(kind, content):
    async def handler(request: Request) -> list[Any]:
        with pytest.raises(kind) as caught:
            await request.json()
        with pytest.raises(kind):
            await request.json()
        return [caught.value.status_code, caught.value.lineno, caught.value.pos]

    pos = 1 if content == b"{" else 0
    assert (await posted(handler, content=content)).json() == [422, 1, pos]


async def test_a_stream_can_be_left_and_closed_as_a_generator():
    async def handler(request: Request) -> list[bytes]:
        found = []
        async for part in request.stream():
            found.append(part)
            break
        async with aclosing(request.stream()) as stream:
            found.append(await anext(stream))
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        return found

    assert (await posted(handler, content=b"12345")).json() == ["MTIzNDU=", ""]


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_noticed(autojump_clock):
    seen: list[BaseException] = []

    async def handler(request: Request) -> None:
        try:
            await request.body()
        except ClientDisconnect as exc:
            seen.append(exc)
            raise

    async with (
        open_app(app_of(handler)) as client,
        client.stream("POST", "/", sending=True) as session,
    ):
        await session.send(b"12345")
        session.close()
    assert len(seen) == 1


async def test_whether_the_client_has_left_is_known_without_reading(autojump_clock):
    seen = []

    async def handler(request: Request) -> None:
        seen.append(await request.is_disconnected())
        await trio.sleep(1)
        seen.append(await request.is_disconnected())

    app = app_of(handler, timeouts=Timeouts(disconnect_grace=5))
    async with open_app(app) as client, client.stream("POST", "/", sending=True) as session:
        await session.send_end()
        await trio.sleep(0.5)
        session.close()
    assert seen == [False, True]


async def test_what_is_pushed_goes_nowhere():
    async def handler(request: Request) -> bool:
        await request.send_push_promise("/style.css")
        await request.send_early_hints("</style.css>; rel=preload")
        return True

    assert (await posted(handler)).json() is True


async def test_the_rest_is_starlettes():
    async def handler(request: Request) -> list[Any]:
        return [
            request.method,
            request.url.path,
            dict(request.query_params),
            request.cookies["a"],
            request.client.host,
        ]

    async with open_app(app_of(handler)) as client:
        response = await client.post("/?q=1", headers={"cookie": "a=b"})
    assert response.json() == ["POST", "/", {"q": "1"}, "b", "testclient"]
