"""JSON messages: whose mistake it is if a message doesn't fit a type."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import numbers
import pathlib
import re
import sys
import uuid
from collections.abc import Awaitable, Iterable, Mapping
from typing import Annotated, Any, Generic, Literal, NamedTuple, Protocol, TypedDict, TypeVar

import annotated_types
import attrs
import msgspec
import pydantic
import pytest
import trio

from tests.connecting import connect
from triows import InvalidMessage, Triows, WebSocket, WebSocketDisconnect, WebSocketRoute
from triows._json import AS_IT_IS, check_expressible, decoder_of, encoded, packed, writing_of

T = TypeVar("T")


class Unknown:
    def __init__(self, **fields: Any) -> None:
        self.fields = fields


class Model(pydantic.BaseModel):
    size: int


class Joined(pydantic.BaseModel):
    kind: Literal["joined"]
    user: str


class Left(pydantic.BaseModel):
    kind: Literal["left"]
    user: str


Event = Annotated[Joined | Left, pydantic.Field(discriminator="kind")]


@pydantic.dataclasses.dataclass
class ModelDataclass:
    size: Annotated[int, pydantic.Field(le=5)]
    password: Annotated[str, pydantic.Field(exclude=True)] = ""


@pydantic.dataclasses.dataclass
class ModelDataclassWithPairs:
    steps: dict[tuple[int, int], int]


class FrozenStruct(msgspec.Struct, frozen=True):
    id: int


class StructWithPairs(msgspec.Struct):
    steps: dict[str, dict[tuple[int, int], int]]


class Strict(pydantic.BaseModel, strict=True):
    at: datetime.date


class StructOfModel(msgspec.Struct):
    model: Model
    at: Strict | None = None


@attrs.define
class AttrsOfModel:
    models: list[Model]


class Tree(msgspec.Struct):
    below: list[Tree] = []


class StructOfUnknown(msgspec.Struct):
    item: Unknown | None = None


@dataclasses.dataclass
class DataOfUnknown:
    items: dict[str, list[StructOfUnknown]]


class DictOfUnknown(TypedDict):
    item: Unknown


class TupleOfUnknown(NamedTuple):
    item: Unknown


class StructOfModelDataclass(msgspec.Struct):
    item: ModelDataclass


class GenericUnknown(Generic[T]):
    pass


class Shape(Protocol):
    def area(self) -> float: ...


class Text(str):
    __slots__ = ()


class Unresolved(msgspec.Struct):
    item: Nowhere  # noqa: F821 - that is the point


class UnresolvedModel(pydantic.BaseModel):
    item: Nowhere  # noqa: F821 - that is the point


class One(msgspec.Struct):
    a: int


class Other(msgspec.Struct):
    b: int


# Types that no message can be read as, and what the error says.
REFUSED: list[Any] = [
    (Unknown, ["Unknown is a class that neither msgspec nor pydantic knows", "msgspec.Struct"]),
    (list[Unknown], ["list[Unknown]", "Unknown is a class"]),
    (dict[str, Unknown], ["dict[str, Unknown]", "Unknown is a class"]),
    (dict[Unknown, str], ["Unknown is a class"]),
    (tuple[int, Unknown], ["Unknown is a class"]),
    (Unknown | None, ["Unknown | None", "Unknown is a class"]),
    (Annotated[Unknown, "note"], ["Unknown is a class"]),
    (StructOfUnknown, ["StructOfUnknown", "Unknown is a class"]),
    (DataOfUnknown, ["DataOfUnknown", "Unknown is a class"]),
    (DictOfUnknown, ["Unknown is a class"]),
    (TupleOfUnknown, ["Unknown is a class"]),
    (GenericUnknown[int], ["GenericUnknown[int]", "GenericUnknown is a class"]),
    (Text, ["Text is a class"]),
    (pathlib.Path, ["Path is a class", "leave the type out"]),
    (Shape, ["Shape is a class"]),
    (Iterable[int], ["Iterable doesn't say which class to make", "use list"]),
    (StructOfModelDataclass, ["a dataclass of pydantic's", "make it a pydantic.BaseModel"]),
    (One | Other, ["must be tagged", "leave the type out"]),
    (Model | Unknown, ["Model | Unknown"]),
    (list[One | Model], ["list[One | Model]"]),
    (Literal[1.5], ["Literal may only contain"]),
    (Unresolved, ["name 'Nowhere' is not defined"]),
    (UnresolvedModel, ["pydantic refuses the class", "'Nowhere' is not defined"]),
    (Annotated[str, annotated_types.Gt(datetime.date.min)], ["can't be checked", "leave it out"]),
    ("Model", ["as Model: 'Model' is a string, not a type: give the class itself, Model"]),
    (list["Model"], ["'Model' is a string, not a type"]),
    (Annotated["Model", "note"], ["'Model' is a string, not a type"]),
    (5, ["Type '5' is not supported"]),
]


@pytest.mark.parametrize(("type_", "says"), REFUSED, ids=lambda it: str(it)[:40])
def test_a_type_that_no_message_fits_is_the_applications_mistake(type_: Any, says: list[str]):
    with pytest.raises(TypeError) as caught:
        decoder_of(type_)
    message = str(caught.value)
    assert [part for part in ["JSON can't be read as", *says] if part not in message] == []
    assert "https://" not in message


# A type, a message that fits, its value, and one that doesn't.
READ: list[Any] = [
    (Model, '{"size": 5}', Model(size=5), '{"size": "x"}'),
    (Model | None, "null", None, "1"),
    (list[Model], '[{"size": 5}]', [Model(size=5)], '[{"size": 5}, {}]'),
    (dict[str, Model], '{"a": {"size": 5}}', {"a": Model(size=5)}, '{"a": 1}'),
    (Model | int, "7", 7, '"x"'),
    (Event, '{"kind": "left", "user": "a"}', Left(kind="left", user="a"), '{"kind": "x"}'),
    (list[Event], "[]", [], '[{"kind": "left"}]'),
    (ModelDataclass, '{"size": 5}', ModelDataclass(5), '{"size": 6}'),
    (
        StructOfModel,
        '{"model": {"size": 5}, "at": {"at": "2026-01-01"}}',
        StructOfModel(Model(size=5), Strict(at=datetime.date(2026, 1, 1))),
        '{"model": {"size": "x"}}',
    ),
    (AttrsOfModel, '{"models": [{"size": 1}]}', AttrsOfModel([Model(size=1)]), '{"models": [1]}'),
    (Tree, '{"below": [{}]}', Tree([Tree()]), '{"below": 1}'),
    (numbers.Number, "5", 5, '"x"'),
    (object, "[1]", [1], "["),
    (Annotated[int, annotated_types.Gt(3)], "5", 5, "2"),
    (list[Annotated[str, annotated_types.Len(1, 2)]], '["a"]', ["a"], '["abc"]'),
    (dict[str, pydantic.PositiveInt | None], '{"a": 1}', {"a": 1}, '{"a": -1}'),
    (Annotated[int, "note"], "5", 5, '"5"'),
    (Annotated[int, {"not": "hashable"}], "5", 5, '"5"'),
    (list[Annotated[int, ["not hashable"]]], "[5]", [5], '["5"]'),
    (Annotated[Model, ["not hashable"]], '{"size": 5}', Model(size=5), "{}"),
    (Annotated[int, pydantic.Field(gt=3)], "5", 5, "2"),
    (Annotated[int, msgspec.Meta(gt=3), "note"], "5", 5, "2"),
    (Literal[1], "1", 1, "true"),
    (list[Literal[1]], "[1]", [1], "[true]"),
]


@pytest.mark.parametrize(("type_", "text", "value", "bad"), READ)
def test_a_message_that_does_not_fit_is_the_peers(type_: Any, text: str, value: Any, bad: str):
    decode = decoder_of(type_)
    for message in (text, text.encode()):
        found = decode(message)
        assert (found, type(found)) == (value, type(value))
    with pytest.raises(InvalidMessage) as caught:
        decode(bad)
    assert caught.value.reason == "invalid message"
    assert caught.value.detail
    assert "https://" not in caught.value.detail


@pytest.mark.parametrize("type_", [Any, str, Model, StructOfModel, list[int]])
@pytest.mark.parametrize(
    "message", ["", "{", b'"\xff"', '{"a": "\ud800"}', "[" * 100_000], ids=range(5)
)
def test_a_message_that_is_not_json_is_the_peers_whatever_the_type(type_: Any, message: Any):
    with pytest.raises(InvalidMessage):
        decoder_of(type_)(message)


def test_the_detail_says_which_field_is_wrong():
    with pytest.raises(InvalidMessage) as caught:
        decoder_of(list[Model])('[{"size": 1}, {"size": "x"}]')
    assert caught.value.detail.startswith("1.size: Input should be a valid integer")
    with pytest.raises(InvalidMessage) as caught:
        decoder_of(StructOfModel)('{"model": {"size": "x"}}')
    assert "`$.model`" in caught.value.detail


def test_a_type_is_compiled_once_also_if_it_can_not_be_hashed():
    unhashable = Annotated[Model, []]
    for type_ in (Model, list[int], Annotated[int, "note"], Event, unhashable):
        assert decoder_of(type_) is decoder_of(type_)
    assert decoder_of(list[int]) is decoder_of(list[int])


def test_types_that_look_equal_are_told_apart():
    assert decoder_of(Literal[1])("1") == 1
    try:
        decode = decoder_of(Literal[True])
    except TypeError:
        pytest.skip("this msgspec has no literals of booleans")
    assert decode("true") is True
    with pytest.raises(InvalidMessage):
        decode("1")


def test_the_order_of_a_union_is_kept():
    class First(pydantic.BaseModel):
        size: int

    class Second(pydantic.BaseModel):
        size: int

    assert type(decoder_of(First | Second)('{"size": 1}')) is First
    assert type(decoder_of(Second | First)('{"size": 1}')) is Second


WRITTEN: list[Any] = [
    (Model(size=1), b'{"size":1}'),
    ([Model(size=1)], b'[{"size":1}]'),
    ({"a": {"b": Strict(at=datetime.date(2026, 1, 1))}}, b'{"a":{"b":{"at":"2026-01-01"}}}'),
    (StructOfModel(Model(size=1)), b'{"model":{"size":1},"at":null}'),
    (ModelDataclass(1, "secret"), b'{"size":1}'),
    (2**70, str(2**70).encode()),
]


@pytest.mark.parametrize(("value", "text"), WRITTEN)
def test_a_model_is_written_as_pydantic_writes_it(value: Any, text: bytes):
    assert encoded(value) == text


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (Unknown(), "can't express an instance of Unknown: send it as a str"),
        ([1, {"a": pathlib.Path("x")}], "can't express an instance of "),
        (Model, "can't express the class Model: give an instance"),
        ({(1, 2): 3}, "the keys of a JSON object must be str or numbers, not a tuple"),
        ({None: 3}, "the keys of a JSON object must be str or numbers, not None"),
        ({True: 3}, "the keys of a JSON object must be str or numbers, not a bool"),
        ((x for x in []), "can't express an instance of generator"),
    ],
)
def test_what_json_can_not_express_is_told_with_a_remedy(value: Any, says: str):
    with pytest.raises(TypeError) as caught:
        encoded(value)
    assert says in str(caught.value)


# Over a connection


def serving(handler: Any) -> Triows:
    route = WebSocketRoute("/")

    @functools.wraps(handler)
    async def accepted(ws: WebSocket) -> None:
        await ws.accept()
        await handler(ws)

    route.endpoint(accepted)
    return Triows(route)


@pytest.mark.parametrize("type_", [Unknown, list[Unknown], StructOfUnknown])
async def test_a_type_that_is_not_known_ends_the_connection_with_1011(type_: Any):
    async def handler(ws: WebSocket) -> None:
        await ws.receive_json(type_)

    with pytest.raises(TypeError, match="Unknown is a class that neither"):  # noqa: PT012 - at its end
        async with connect(serving(handler), "/") as client:
            await client.send("{}")
            with pytest.raises(WebSocketDisconnect) as caught:
                await client.receive()
            assert caught.value.code == 1011


async def test_a_type_that_is_not_known_takes_no_message():
    async def handler(ws: WebSocket) -> None:
        with pytest.raises(TypeError):
            await ws.receive_json(Unknown)
        with pytest.raises(TypeError):
            await anext(aiter(ws.iter_json(Unknown)))
        await ws.send(await ws.receive())

    async with connect(serving(handler), "/") as client:
        await client.send("first")
        assert await client.receive() == "first"


async def test_a_model_goes_in_and_out_and_a_bad_one_closes_with_1007():
    async def handler(ws: WebSocket) -> None:
        async for event in ws.iter_json(Event):
            await ws.send_json([event], mode="binary")

    async with connect(serving(handler), "/") as client:
        await client.send('{"kind": "joined", "user": "a"}')
        assert await client.receive() == b'[{"kind":"joined","user":"a"}]'
        await client.send('{"kind": "joined"}')
        with pytest.raises(WebSocketDisconnect) as caught:
            await client.receive()
        assert (caught.value.code, caught.value.reason) == (1007, "invalid message")


async def test_a_mode_that_there_is_not_is_refused():
    async def handler(ws: WebSocket) -> None:
        with pytest.raises(ValueError, match="mode='text' or mode='binary', not 'txt'"):
            await ws.send_json(1, mode="txt")  # type: ignore[arg-type]
        await ws.send("ok")

    async with connect(serving(handler), "/") as client:
        assert await client.receive() == "ok"


@pytest.mark.parametrize(
    "call",
    [
        lambda ws: ws.receive_json(Unknown),
        lambda ws: ws.receive_json(int),
        lambda ws: ws.send_json(Unknown()),
        lambda ws: ws.send_json(1, mode="txt"),
    ],
)
async def test_a_call_that_fails_gives_the_others_a_turn(call: Any, autojump_clock: Any):
    async def handler(ws: WebSocket) -> None:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                await trio.lowlevel.checkpoint()
                turns += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(others)
            await ws.receive()
            before = turns
            for _ in range(5):
                with pytest.raises((TypeError, ValueError, InvalidMessage)):
                    await call(ws)
            assert turns - before >= 4
            nursery.cancel_scope.cancel()

    async with connect(serving(handler), "/") as client:
        for _ in range(6):
            await client.send('"x"')
        await client.expect_close(1000)


class Box(Generic[T]): ...


class StructOfModelDataclass(msgspec.Struct):
    inner: ModelDataclass


class ModelOfDataclass(pydantic.BaseModel):
    inner: ModelDataclass


# MessagePack, and what can be said of a type before there is a value


@pytest.mark.parametrize(
    "value",
    [
        Model(size=1),
        [Model(size=1)],
        ModelDataclass(1, "secret"),
        Tree([Tree()]),
        {"a": [1, None, "b"], "at": datetime.date(2024, 1, 2)},
    ],
)
def test_messagepack_says_what_json_says(value):
    assert msgspec.msgpack.decode(packed(value)) == msgspec.json.decode(encoded(value))


def test_messagepack_can_not_express_more_classes():
    with pytest.raises(TypeError, match="JSON can't express an instance of Unknown"):
        packed(Unknown())


@pytest.mark.parametrize(
    "type_",
    [
        Any,
        T,
        object,
        int,
        Model,
        Tree | StructOfModel,  # msgspec could not read this one
        list[Tree | StructOfModel],
        dict[str, list[AttrsOfModel]],
        Literal[1, "a"],
        Annotated[int, annotated_types.Gt(0), []],
        Iterable[int],
        type(None),
        ModelDataclass | None,
        Annotated[ModelDataclass, "a doc"],
        list[ModelOfDataclass],
        dict[uuid.UUID | int, str],
        dict[Literal["a"], str],
        dict[Any, dict[datetime.date, bytes]],
        ModelDataclassWithPairs,
    ],
)
def test_types_that_json_can_express_pass(type_):
    check_expressible(type_)


@pytest.mark.parametrize(
    ("type_", "message"),
    [
        (Unknown, "JSON can't express Unknown: make it a msgspec.Struct"),
        (list[Unknown | None], "JSON can't express Unknown"),
        (Annotated[pathlib.Path, "a doc"], "JSON can't express Path"),
        (DataOfUnknown, "JSON can't express Unknown"),
        (Box[int], "JSON can't express Box"),
        (Awaitable[int], "JSON can't express Awaitable"),
        (type[Model], "JSON can't express type"),
        (list[ModelDataclass], "ModelDataclass is a dataclass of pydantic's inside"),
        (StructOfModelDataclass, "ModelDataclass is a dataclass of pydantic's inside"),
        (list["Tree"], "'Tree' is a string, not a type"),
        (dict[tuple[int, int], int], "must be str or numbers, not a tuple: use a str"),
        (list[Mapping[tuple[int, ...], int]], "not a tuple"),
        (dict[str, dict[bool, int]], "not a bool"),
        (dict[int | None, int], "not None"),
        (dict[FrozenStruct, int], "not an object"),
        (StructWithPairs, "not a tuple"),
    ],
)
def test_types_that_json_can_not_express_are_refused(type_, message):
    with pytest.raises(TypeError, match=message):
        check_expressible(type_)


# What a type lets through


class Public(pydantic.BaseModel):
    name: str = "ada"
    born: int = pydantic.Field(default=1815, alias="bornIn")


class Private(Public):
    password: str = "secret"


@pydantic.dataclasses.dataclass
class PublicData:
    name: str = "ada"


@pydantic.dataclasses.dataclass
class PrivateData(PublicData):
    password: str = "secret"


class Owned(pydantic.BaseModel):
    owner: Public
    others: dict[str, list[Public]] = {}


class PublicStruct(msgspec.Struct):
    name: str = "ada"


class PrivateStruct(PublicStruct):
    password: str = "secret"


class StructOfPublic(msgspec.Struct):
    item: Public


ADA = {"name": "ada", "bornIn": 1815}


@pytest.mark.parametrize(
    ("type_", "value", "written"),
    [
        (Public, Private(), ADA),
        (Public | None, Private(), ADA),
        (Public | int, Private(), ADA),
        (Public | Owned, Private(), ADA),
        (list[Public], [Private(), Public()], [ADA, ADA]),
        (list[Public | int], [Private(), 1], [ADA, 1]),
        (Iterable[Public], [Public()], [ADA]),
        (tuple[Public, int], (Private(), 1), [ADA, 1]),
        (dict[str, Public], {"a": Private()}, {"a": ADA}),
        (PublicData, PrivateData(), {"name": "ada"}),
        (
            Owned,
            Owned(owner=Private(), others={"a": [Private()]}),
            {"owner": ADA, "others": {"a": [ADA]}},
        ),
        (Annotated[int, pydantic.Field(gt=0)], 1, 1),
        (StructOfPublic, StructOfPublic(Public()), {"item": ADA}),
        (list[Public | PublicStruct], [Public(), PublicStruct()], [ADA, {"name": "ada"}]),
        (PublicStruct, PublicStruct(), {"name": "ada"}),
        (ModelDataclass | PublicStruct, ModelDataclass(1, "secret"), {"size": 1}),
        (list[PublicStruct | None], [PublicStruct(), None], [{"name": "ada"}, None]),
        (Any, Private(), ADA | {"password": "secret"}),
        (list[Any], [PrivateStruct()], [{"name": "ada", "password": "secret"}]),
    ],
)
def test_pydantic_writes_what_the_type_says_in_both_formats(type_, value, written):
    writing = writing_of(type_)
    assert msgspec.json.decode(writing.json(value)) == written
    assert msgspec.msgpack.decode(writing.message_pack(value)) == written


@pytest.mark.parametrize("kind", ["json", "message_pack"])
@pytest.mark.parametrize(
    ("type_", "value", "problem"),
    [
        (list[Public], [{"name": "ada"}], "instance of dict, but Public is annotated"),
        (list[Public], [Joined(kind="joined", user="a")], "instance of Joined, but Public is"),
        (list[Public], [None], "None, but Public is annotated"),
        (list[Public], (Public(),), "instance of tuple, but list"),
        (Public, Public.model_construct(name=1), "Expected `str`.*'name', input_type=int"),
        (Owned, Owned.model_construct(owner={"secret": 1}), "Expected `Public`.*input_type=dict"),
        (StructOfPublic, StructOfPublic(Private()), "Private, with the field 'password'"),
        (StructOfPublic, StructOfPublic(Public.model_construct(name=1)), "Expected `str`"),
        (list[Public | PublicStruct], [Private()], "Private, with the field 'password'"),
        (PublicStruct, PrivateStruct(), "PrivateStruct, with the field 'password'"),
        (list[PublicStruct], [PrivateStruct()], "PrivateStruct, with the field 'password'"),
    ],
)
def test_what_is_not_as_the_type_says_is_not_written(type_, value, problem, kind, recwarn):
    with pytest.raises((TypeError, ValueError)) as caught:
        getattr(writing_of(type_), kind)(value)
    text = caught.value.told("return") if hasattr(caught.value, "told") else str(caught.value)
    assert re.search(problem, text)
    assert "secret" not in text
    assert list(recwarn) == []


def test_a_type_that_can_hold_anything_is_written_as_it_is():
    assert writing_of(Any) is writing_of(dict[str, int]) is AS_IT_IS


def test_a_model_that_pydantic_refuses_is_refused():
    with pytest.raises(TypeError, match=r"pydantic refuses the class.*'Nowhere' is not defined"):
        writing_of(UnresolvedModel)


@pytest.mark.parametrize("write", [encoded, lambda data: encoded([data])])
def test_aliases_are_written_as_they_are_read(write):
    assert msgspec.json.decode(write(Public())) in (ADA, [ADA])
    assert decoder_of(Public)(encoded(Public(bornIn=1))) == Public(bornIn=1)


def test_without_a_type_pydantic_only_warns():
    with pytest.warns(UserWarning, match="Expected `str`"):
        assert encoded(Public.model_construct(name=1)) == b'{"name":1,"bornIn":1815}'


class TypeAliasType:
    """As Python 3.12 makes it of ``type Nested = list[Nested]``."""

    __name__ = "Nested"

    @property
    def __value__(self) -> Any:
        return list[self]  # type: ignore[valid-type]


def test_an_alias_that_contains_itself_is_refused():
    with pytest.raises(TypeError, match="Nested has an alias in it that contains itself: make a"):
        writing_of(TypeAliasType())


class Nested(msgspec.Struct):
    inside: list[Nested] = []


@dataclasses.dataclass
class NestedData:
    inside: list[NestedData] = dataclasses.field(default_factory=list)


@attrs.define
class NestedByName:
    inside: dict[str, NestedByName] = attrs.field(factory=dict)


@pytest.mark.parametrize(
    ("type_", "before", "after"),
    [
        (Nested, b'{"inside":[', b"]}"),
        (NestedData, b'{"inside":[', b"]}"),
        (NestedByName, b'{"inside":{"a":', b"}}"),
    ],
)
@pytest.mark.parametrize("levels", [100, 300, 400])
def test_whatever_depth_can_be_read_can_be_written(type_, before, after, levels):
    inner = b'{"inside":{}}' if type_ is NestedByName else b""
    data = before * levels + inner + after * levels
    value = msgspec.json.decode(data, type=type_)
    assert writing_of(type_).json(value) == data


def test_a_limit_of_python_that_was_raised_for_a_check_is_lowered_again():
    limit = sys.getrecursionlimit()
    ring = NestedData()
    ring.inside.append(ring)
    with pytest.raises(RecursionError):
        writing_of(NestedData).json(ring)
    assert sys.getrecursionlimit() == limit
