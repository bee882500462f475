"""Packs whose class forbids unknown names. A name that nothing reads is the peer's error."""

from typing import Annotated

import msgspec
import pydantic
import pytest

from tests.connecting import connect
from tests.injection.kinds import WEBSOCKETS
from triows import Param, Triows, WebSocket, WebSocketRoute, use
from triows._injection.parameter import MISSING
from triows._injection.params import param_spec
from triows._injection.query import RequestData
from triows._injection.readers import read_params
from triows._param_error import ParamError
from triows._routing.template import Template
from triows.exceptions import HandlerSignatureError
from triows.testing import WebSocketDenialResponse


class ClosedStruct(msgspec.Struct, forbid_unknown_fields=True):
    size: int = 1
    order_by: str = msgspec.field(default="name", name="orderBy")


class ClosedModel(pydantic.BaseModel, extra="forbid"):
    size: int = 1
    order_by: str = pydantic.Field("name", alias="orderBy")


@pydantic.dataclasses.dataclass(config=pydantic.ConfigDict(extra="forbid"))
class ClosedModelDataclass:
    size: int = 1
    order_by: str = pydantic.Field("name", alias="orderBy")


class Open(msgspec.Struct):
    limit: int = 1


CLOSED = [ClosedStruct, ClosedModel, ClosedModelDataclass]


def spec(name, annotation, mark=None, default=MISSING):
    keys = Template.parse("/{room}").by_name
    return param_spec(
        name, annotation, default, mark=mark, path_keys=keys, kind=WEBSOCKETS, where="chat.py:12"
    )


def errors(query, *specs):
    data = RequestData(query.encode(), [(b"cookie", b"c=1")], {"room": "1"}, max_query_parameters=9)
    return read_params(specs, data)[1]


def unknown(*names):
    return [ParamError("query", name, "Unknown parameter") for name in names]


@pytest.mark.parametrize("closed", CLOSED)
def test_every_name_that_nothing_reads_is_reported(closed):
    page = spec("page", closed, Param("query"))
    assert errors("size=3&orderBy=x", page) == []
    assert errors("size=3&sise=4&Order=x&sise=5", page) == unknown("sise", "Order")
    # The field's name in Python is not its name in the query.
    assert errors("order_by=x", page) == unknown("order_by")


@pytest.mark.parametrize("closed", CLOSED)
def test_unknown_names_stand_beside_the_other_errors(closed):
    found = errors("size=x&more=1", spec("page", closed, Param("query")))
    assert [error.name for error in found] == ["size", "more"]


@pytest.mark.parametrize("closed", CLOSED)
def test_what_another_parameter_reads_from_the_query_is_known(closed):
    specs = [
        spec("page", closed, Param("query")),
        spec("token", str, default=""),
        spec("q", str, Param(alias="search"), default=""),
        spec("other", Open, Param("query")),
        spec("room", int),
        spec("c", int, Param("cookie")),
    ]
    assert errors("token=1&search=x&limit=3", *specs) == []
    # Names that are read from elsewhere don't count, and neither does a name that is only an alias.
    assert errors("room=1&c=1&q=1", *specs) == unknown("room", "c", "q")


def test_of_two_closed_packs_each_knows_the_others_names():
    class More(msgspec.Struct, forbid_unknown_fields=True):
        limit: int = 1

    specs = [spec("page", ClosedStruct, Param("query")), spec("more", More, Param("query"))]
    assert errors("size=1&limit=2", *specs) == []
    assert errors("size=1&limit=2&x=3", *specs) == unknown("x")


def test_a_pack_with_a_default_is_closed_as_well():
    page = spec("page", ClosedStruct | None, Param("query"), None)
    assert errors("", page) == []
    assert errors("x=1", page) == unknown("x")


def test_other_packs_are_open():
    assert errors("x=1", spec("page", Open, Param("query"))) == []
    assert errors("x=1", spec("size", int, default=1)) == []


def test_a_name_that_can_not_be_read_is_reported_once():
    (error,) = errors("x=%zz", spec("page", ClosedStruct, Param("query")))
    assert error == ParamError("query", "x", "Malformed percent-encoding")


def test_an_unknown_name_is_shown_short_and_without_control_characters():
    (error,) = errors("a%0a" + "b" * 500 + "=1", spec("page", ClosedStruct, Param("query")))
    assert "\n" not in error.name
    assert len(error.name) < 210


@pytest.mark.parametrize("source", ["header", "cookie"])
@pytest.mark.parametrize("closed", CLOSED)
def test_headers_and_cookies_can_not_be_closed(closed, source):
    with pytest.raises(HandlerSignatureError) as caught:
        spec("page", closed, Param(source))
    assert f"every client sends {source}s that no handler asks for" in caught.value.message
    assert "or read it from the query" in caught.value.message


async def test_a_factorys_parameters_are_known_to_the_handlers_pack():
    route = WebSocketRoute("page")

    def user(token: str = "") -> str:
        return token

    @route.endpoint
    async def handler(
        ws: WebSocket,
        page: Annotated[ClosedStruct, Param("query")],
        name: Annotated[str, use(user)],
    ) -> None:
        await ws.accept()

    app = Triows(route)
    async with connect(app, "/page?size=2&token=x"):
        pass
    with pytest.raises(WebSocketDenialResponse) as refused:
        async with connect(app, "/page?tokn=x&sise=2"):
            pass
    assert refused.value.status_code == 422
    assert refused.value.json()["errors"] == [
        {"location": "query", "name": "tokn", "message": "Unknown parameter"},
        {"location": "query", "name": "sise", "message": "Unknown parameter"},
    ]
