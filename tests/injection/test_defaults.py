"""No connection sees what another does to a default. Defaults that can't change aren't copied."""

import collections
import dataclasses
import datetime
import decimal
import enum
import ipaddress
import pathlib
import re
import threading
import uuid
from typing import Annotated, Any

import attrs
import msgspec
import pydantic
import pytest

from tests.connecting import connect
from tests.injection.kinds import WEBSOCKETS
from triows import Param, Triows, WebSocket, WebSocketRoute, use
from triows._injection.defaults import UncopyableDefault, default_maker
from triows._injection.parameter import MISSING
from triows._injection.params import param_spec
from triows._injection.query import RequestData
from triows._injection.readers import read_params
from triows.exceptions import HandlerSignatureError


class StructPage(msgspec.Struct):
    size: int = 1
    tags: list[str] = []


class StrictPage(msgspec.Struct, frozen=True):
    size: int = 1


class FrozenWithList(msgspec.Struct, frozen=True):
    tags: list[str]


@dataclasses.dataclass
class DataPage:
    size: int = 1
    tags: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class FrozenData:
    size: int = 1


@attrs.define
class AttrsPage:
    size: int = 1
    tags: list[str] = attrs.field(factory=list)


@attrs.frozen
class FrozenAttrs:
    size: int = 1


class Model(pydantic.BaseModel):
    size: int = 1
    tags: list[str] = []


class Basket:
    """A class of the application."""

    def __init__(self) -> None:
        self.tags: list[str] = []


class Colour(enum.Enum):
    RED = "red"


def read(annotation: Any, default: Any = MISSING) -> Any:
    spec = param_spec(
        "value",
        annotation,
        default,
        mark=Param("query"),
        path_keys={},
        kind=WEBSOCKETS,
        where="chat.py:12",
    )
    return lambda: read_params([spec], RequestData(b"", [], {}, max_query_parameters=100))[0][0]


# A default, and what a handler does to it.
CHANGED: list[Any] = [
    ([], lambda it: it.append("x")),
    ([{"tags": []}], lambda it: it[0]["tags"].append("x")),
    ({"tags": ["a"]}, lambda it: it["tags"].append("x")),
    ((1, ["a"]), lambda it: it[1].append("x")),
    ({"a"}, lambda it: it.add("x")),
    (bytearray(b"a"), lambda it: it.extend(b"x")),
    (collections.defaultdict(list), lambda it: it["x"].append("x")),
    (collections.OrderedDict(a=[1]), lambda it: it["a"].append("x")),
    (collections.deque([1]), lambda it: it.append("x")),
    (StructPage(), lambda it: setattr(it, "size", 5)),
    (StructPage(tags=["a"]), lambda it: it.tags.append("x")),
    (FrozenWithList(["a"]), lambda it: it.tags.append("x")),
    (DataPage(), lambda it: setattr(it, "size", 5)),
    (DataPage(), lambda it: it.tags.append("x")),
    (AttrsPage(), lambda it: setattr(it, "size", 5)),
    (AttrsPage(), lambda it: it.tags.append("x")),
    (Model(), lambda it: it.tags.append("x")),
    ([DataPage()], lambda it: it[0].tags.append("x")),
]


@pytest.mark.parametrize(("default", "change"), CHANGED, ids=lambda it: type(it).__name__)
def test_what_one_connection_puts_into_a_default_the_next_does_not_find(default, change):
    make = read(Any, default)
    before = repr(default)
    change(make())
    assert repr(make()) == repr(default) == before
    assert type(make()) is type(default)


def test_an_object_of_the_applications_own_class_is_copied_too():
    make = read(Any, Basket())
    make().tags.append("x")
    assert make().tags == []


@pytest.mark.parametrize(
    "default",
    [
        None, 1, 1.5, True, "text", b"bytes", ..., object(), Colour.RED, print, len, Basket,
        (1, ("a", None)), frozenset({1}), range(3), re.compile("a"),
        decimal.Decimal("1.5"), uuid.uuid4(), datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        datetime.date(2026, 1, 1), datetime.time(10), datetime.timedelta(1), datetime.UTC,
        pathlib.Path("a"), ipaddress.ip_address("::1"), msgspec.UNSET,
        StrictPage(), FrozenData(), FrozenAttrs(), (FrozenData(),), "".join,
    ],
    ids=lambda it: type(it).__name__,
)  # fmt: skip
def test_a_default_that_can_not_be_changed_is_given_as_it_is(default):
    assert default_maker(default)() is default


def test_a_class_may_say_itself_that_it_needs_no_copy():
    class Sentinel:
        def __deepcopy__(self, memo: Any) -> "Sentinel":
            return self

    unset = Sentinel()
    assert default_maker(unset)() is unset


@pytest.mark.parametrize("default", [threading.Lock(), [threading.Lock()], (x for x in [])])
def test_a_default_that_can_not_be_copied_is_refused_with_a_remedy(default):
    with pytest.raises(UncopyableDefault):
        default_maker(default)
    with pytest.raises(HandlerSignatureError) as caught:
        read(Any, default)
    assert "it can't be copied (TypeError: cannot pickle" in caught.value.message
    assert "`value: Annotated[..., use(factory)]`" in caught.value.message


@dataclasses.dataclass
class DataWithShared:
    size: int = 0
    basket: Annotated[Any, Param(decoder=str)] = Basket()  # noqa: RUF009 - this is tested


@attrs.define
class AttrsWithShared:
    size: int = 0
    tags: list[str] = ["a"]  # noqa: RUF008 - this is tested


def test_a_default_inside_a_packs_class_is_not_shared_either():
    make = read(DataWithShared)
    make().basket.tags.append("x")
    assert make().basket.tags == []
    make = read(AttrsWithShared)
    make().tags.append("x")
    assert make().tags == ["a"]


def test_a_field_whose_default_can_not_be_copied_is_refused_by_name():
    @attrs.define
    class Page:
        lock: Annotated[Any, Param(decoder=str)] = threading.Lock()  # noqa: RUF009 - this is tested

    with pytest.raises(HandlerSignatureError, match="field `lock`: its default can be changed"):
        read(Page)


async def test_a_handler_that_changes_its_default_changes_it_for_nobody_else():
    route = WebSocketRoute("page")

    def tagged(tags: list[str] = ["a"]) -> list[str]:  # noqa: B006 - this is tested
        tags.append("factory")
        return tags

    @route.endpoint
    async def handler(
        ws: WebSocket,
        tags: Annotated[list[str], use(tagged)],
        page: Annotated[DataPage, Param("query")] = DataPage(),  # noqa: B008 - this is tested
    ) -> None:
        await ws.accept()
        page.size += 1
        page.tags.append("handler")
        await ws.send_json([page.size, page.tags, tags])

    app = Triows(route)
    for _ in range(2):
        async with connect(app, "/page") as client:
            assert await client.receive_json() == [2, ["handler"], ["a", "factory"]]
