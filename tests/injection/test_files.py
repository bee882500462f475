"""Parameters that are files in a form."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from triows import Param, Route, Triows, UploadFile
from triows._injection.files import is_file
from triows._request.kind import request_kind
from triows.testing import open_app

POST, GET = request_kind(Triows, "POST"), request_kind(Triows, "GET")


@pytest.mark.parametrize(
    "annotation",
    [UploadFile, list[UploadFile], UploadFile | None, Annotated[UploadFile, "documented"]],
)
def test_an_upload_file_is_a_file_where_there_is_a_body(annotation):
    assert is_file(annotation, POST)
    assert not is_file(annotation, GET)


@pytest.mark.parametrize("annotation", [bytes, list[bytes], dict[str, UploadFile], Any])
def test_nothing_else_is_one(annotation):
    assert not is_file(annotation, POST)


async def one(photo: UploadFile) -> str:
    return f"{photo.filename} {photo.content_type} {photo.size} {(await photo.read()).decode()}"


async def perhaps(photo: UploadFile | None = None) -> str:
    return "nothing" if photo is None else await one(photo)


async def renamed(photo: Annotated[UploadFile, Param("form", alias="the-photo")]) -> str:
    return await one(photo)


async def several(photos: list[UploadFile]) -> str:
    return " ".join(str(photo.filename) for photo in photos)


async def as_many(photos: list[UploadFile] = []) -> str:  # noqa: B006
    return str(len(photos))


async def with_text(photo: UploadFile, title: Annotated[str, Param("form")]) -> str:
    return f"{title}: {await one(photo)}"


A, B = ("a.txt", b"AAA", "text/plain"), ("b.txt", b"BB", "text/plain")


async def sent(handler: Any, files: Any = None, data: Any = None) -> Any:
    route = Route("")
    route.post(handler)
    async with open_app(Triows(route)) as client:
        return await client.post("/", files=files, data=data)


@pytest.mark.parametrize(
    ("handler", "files", "answer"),
    [
        (one, {"photo": A}, "a.txt text/plain 3 AAA"),
        (perhaps, {"photo": A}, "a.txt text/plain 3 AAA"),
        (perhaps, {"other": A}, "nothing"),
        (renamed, {"the-photo": A}, "a.txt text/plain 3 AAA"),
        (several, [("photos", A), ("photos", B)], "a.txt b.txt"),
        (several, {"photos": A}, "a.txt"),
        (as_many, {"other": A}, "0"),
    ],
)
async def test_a_handler_gets_the_files_that_it_asks_for(handler, files, answer):
    assert (await sent(handler, files)).text == answer


async def test_texts_and_files_come_in_one_form():
    assert (await sent(with_text, {"photo": A}, {"title": "T"})).text.startswith("T: a.txt")


@pytest.mark.parametrize(
    ("handler", "files", "data", "error"),
    [
        (one, {"other": A}, None, ("form", "photo", "Missing required parameter")),
        (several, {"other": A}, None, ("form", "photos", "Missing required parameter")),
        (renamed, {"photo": A}, None, ("form", "the-photo", "Missing required parameter")),
        (one, {"other": A}, {"photo": "x"}, ("form", "photo", "Expected a file")),
        (perhaps, {"other": A}, {"photo": "x"}, ("form", "photo", "Expected a file")),
        (
            one,
            [("photo", A), ("photo", B)],
            None,
            ("form", "photo", "Given 2 times, expected once"),
        ),
    ],
)
async def test_what_does_not_fit_is_said(handler, files, data, error):
    response = await sent(handler, files, data)
    assert response.status_code == 422
    names = ("location", "name", "message")
    assert response.json()["errors"] == [dict(zip(names, error, strict=True))]


async def test_all_that_is_wrong_in_a_form_is_said_at_once():
    response = await sent(with_text, {"other": A})
    assert [one["name"] for one in response.json()["errors"]] == ["photo", "title"]


async def test_an_empty_form_without_a_body_has_no_files():
    assert (await sent(perhaps)).text == "nothing"


async def test_a_body_that_is_no_form_is_refused_with_the_types_that_fit():
    route = Route("")
    route.post(one)
    async with open_app(Triows(route)) as client:
        response = await client.post("/", json={"photo": 1})
    assert response.status_code == 415
    assert "multipart/form-data" in response.headers["accept"]
