"""Parameters that are refused when a handler is registered, and the message that helps."""

import base64
import dataclasses
import enum
import functools
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import attrs
import msgspec
import pytest

from tests.injection.kinds import WEBSOCKETS
from triows import types
from triows._injection.packs import has_fields
from triows._injection.parameter import MISSING
from triows._injection.params import is_readable, param_spec
from triows._injection.query import RequestData
from triows._injection.readers import read_params
from triows._routing.template import Template
from triows.exceptions import HandlerSignatureError

Param = types.Param
WHERE = "chat.py:12 (handler)"


class Page(msgspec.Struct):
    size: int = 1


@dataclasses.dataclass
class DataPage:
    size: int = 1


@attrs.define
class AttrsPage:
    size: int = 1


class DictPage(TypedDict):
    size: int


class TuplePage(NamedTuple):
    size: int


class Custom:
    pass


class Text(str):
    __slots__ = ()


class Mixed(enum.Enum):
    A = "a"
    B = 1


class Nested(msgspec.Struct):
    page: Page


class WithList(msgspec.Struct):
    tags: list[str]


class Cookies(msgspec.Struct):
    theme: Annotated[str, Param(alias="a=b")]


class WithHeader(msgspec.Struct):
    token: Annotated[str, Param("header")]


class WithCustom(msgspec.Struct):
    item: Custom


@dataclasses.dataclass
class WithInitVar:
    size: dataclasses.InitVar[int]


@dataclasses.dataclass
class Unresolved:
    size: "Nowhere"  # noqa: F821 - that is the point


PACK = "mark it Annotated[{}, Param('query')] to read its fields from the query"
RECORD = "make it a msgspec.Struct, a dataclass, an attrs class or a pydantic model"


async def decode_later(text: str) -> str:
    return text


def decode_in_steps(text: str) -> Iterator[str]:
    yield text


async def decode_later_in_steps(text: str) -> AsyncIterator[str]:
    yield text


def decode_two(text: str, other: str) -> str:
    return text + other


class Csv:
    """A decoder with options. It is an object with ``__call__``."""

    def __init__(self, separator: str = ",") -> None:
        self.separator = separator

    def __call__(self, text: str) -> list[str]:
        return text.split(self.separator)

    async def later(self, text: str) -> list[str]:
        return self(text)


class LateCsv:
    async def __call__(self, text: str) -> list[str]:
        return text.split(",")


# A decoder, and the message about it.
BAD_DECODERS: list[tuple[Any, str]] = [
    (decode_later, "the decoder decode_later is async"),
    (staticmethod(decode_later), "is async, and nothing awaits"),
    (staticmethod(decode_in_steps), "yields, so it would give a generator"),
    (functools.partial(decode_later), "is async, and nothing awaits"),
    (Csv().later, "write `def`, or await in a factory, with use(...)"),
    (LateCsv(), "the decoder LateCsv is async"),
    (decode_later_in_steps, "is async"),
    (decode_in_steps, "the decoder decode_in_steps yields"),
    (decode_two, "takes (text: str, other: str) -> str, and a decoder is called with the text"),
    (lambda: 1, "write `def decoder(text)`, or bind the others with functools.partial"),
    (lambda text, *, other: 1, "bind the others with functools.partial"),
    (Csv, "give an object of it, as in decoder=Csv()"),
    (LateCsv, "give an object of it, as in decoder=LateCsv()"),
    ("csv", "decoder= takes a function that is called with the text, not 'csv'"),
    (["a"], "decoder= takes a function"),
]


@pytest.mark.parametrize(("decoder", "says"), BAD_DECODERS)
@pytest.mark.parametrize("annotation", [str, Custom, Page])
def test_a_decoder_that_could_not_work_is_refused(annotation: Any, decoder: Any, says: str) -> None:
    mark = Param("query", decoder=decoder)
    with pytest.raises(HandlerSignatureError) as caught:
        param_spec(
            "item", annotation, MISSING, mark=mark, path_keys={}, kind=WEBSOCKETS, where=WHERE
        )
    assert says in caught.value.message
    assert caught.value.where == WHERE


def test_a_decoder_of_a_field_is_looked_at_too() -> None:
    class Late(msgspec.Struct):
        ids: Annotated[list[str], Param(decoder=decode_later)]

    with pytest.raises(HandlerSignatureError, match="field `ids`: the decoder decode_later is"):
        param_spec(
            "item", Late, MISSING, mark=Param("query"), path_keys={}, kind=WEBSOCKETS, where=WHERE
        )


@pytest.mark.parametrize(
    "decoder",
    [
        int, str, json.loads, UUID, date.fromisoformat, base64.b64decode, Csv(), "a,b".split,
        functools.partial(decode_two, other="x"), lambda text, sep=",": text.split(sep), print,
        lambda *texts: texts,
    ],
)  # fmt: skip
def test_whatever_takes_one_text_is_a_decoder(decoder: Any) -> None:
    mark = Param("query", decoder=decoder)
    assert param_spec(
        "item", Custom, MISSING, mark=mark, path_keys={}, kind=WEBSOCKETS, where=WHERE
    ).known.required


def test_a_decoder_that_returns_a_coroutine_is_the_applications_mistake() -> None:
    mark = Param("query", decoder=lambda text: decode_later(text))  # noqa: PLW0108
    spec = param_spec("item", str, MISSING, mark=mark, path_keys={}, kind=WEBSOCKETS, where=WHERE)
    data = RequestData(b"item=1", [], {}, max_query_parameters=9)
    with pytest.raises(RuntimeError, match="returned a coroutine, and a decoder can't await"):
        read_params([spec], data)


# Annotation, mark, default, and what the error says.
MISTAKES: list[tuple[Any, types.ParamMark | None, Any, list[str]]] = [
    (int, Param("path", alias="key"), 5, ["default", "take it out"]),
    (list[int], Param("path", alias="key"), MISSING, ["a path holds one value", "list[int]"]),
    (set[int], Param("cookie"), MISSING, ["a cookie holds one value", "decoder="]),
    (int, Param("path"), MISSING, ["{item}", "{key}", "add it to the path"]),
    (int, Param("path", alias="other"), MISSING, ["{other}", "{key}"]),
    (Page, None, MISSING, ["no body", PACK.format("Page"), "use(...)"]),
    (Page, Param(alias="p"), MISSING, ["no body", PACK.format("Page")]),
    (Page, Param("path", alias="key"), MISSING, ["Param('query')"]),
    (Page | None, None, None, ["no body", "Page | None"]),
    (DataPage, None, MISSING, ["no body", PACK.format("DataPage")]),
    (AttrsPage, None, MISSING, ["no body", PACK.format("AttrsPage")]),
    (dict[str, int], None, MISSING, ["no body", "dict[str, int]", RECORD]),
    (DictPage, Param("query"), MISSING, ["no body", "DictPage", RECORD]),
    (TuplePage, None, MISSING, ["no body", "TuplePage", RECORD]),
    (Page, Param("query", alias="p"), MISSING, ["under its own name", "to the fields instead"]),
    (Page, Param("query", ge=1), MISSING, ["under its own name", "to the fields instead"]),
    (Nested, Param("query"), MISSING, ["field `page`", "a field can't be a Page", "decoder="]),
    (WithList, Param("cookie"), MISSING, ["field `tags`", "a cookie holds one value"]),
    (WithHeader, Param("query"), MISSING, ["field `token`", "header", "parameter of its own"]),
    (WithCustom, Param("query"), MISSING, ["field `item`", "Custom", "decoder="]),
    (WithInitVar, Param("query"), MISSING, ["InitVar", "use(...)"]),
    (Unresolved, Param("query"), MISSING, ["Nowhere", "module level"]),
    (Custom, Param("query"), MISSING, ["Custom can't be read from text", "decoder=", "use(...)"]),
    (Text, None, MISSING, ["Text can't be read from text", "decoder="]),
    (list[Page], None, MISSING, ["list[Page] can't be read from text"]),
    (list[list[int]], None, MISSING, ["list[list[int]] can't be read from text"]),
    (list[int] | int, None, MISSING, ["list[int] | int can't be read from text"]),
    (Literal[True], None, MISSING, ["Literal[True] can't be read from text"]),
    (None, None, MISSING, ["None can't be read from text"]),
    (Literal[None], None, MISSING, ["can't be read from text"]),
    (object, None, MISSING, ["object can't be read from text"]),
    (bytes, None, MISSING, ["several ways to make bytes", "decoder=", "b64decode"]),
    (Decimal | UUID, None, MISSING, ["Decimal | UUID", "more than one str-like type"]),
    (date | str, None, MISSING, ["date | str", "more than one str-like type"]),
    (Mixed, None, MISSING, ["Mixed", "either all str or all int values"]),
    (str, Param(ge=1), MISSING, ["can't be read", "Can only set `ge` on a numeric type"]),
    (int, Param(pattern="x"), MISSING, ["Can only set `pattern` on a str type"]),
    (list[int], Param(ge=1), MISSING, ["Can only set `ge`", "constraints"]),
    (Annotated[str, msgspec.Meta(ge=1)], None, MISSING, ["Can only set `ge`"]),
    (int, Param(ge=1.5), MISSING, ["Change the type or its constraints"]),
    (int, Param(decoder=int, ge=1), MISSING, ["check them in the decoder"]),
    (
        str,
        Param("header", alias="x token"),
        MISSING,
        ["'x token' can't be the name of a header", "alias="],
    ),
    (str, Param("query", alias=""), MISSING, ["alias is empty"]),
    (str, Param("query", alias="\ud800"), MISSING, ["can't arrive", "alias="]),
    (str, Param("cookie", alias="x;y"), MISSING, ["can't be the name of a cookie", "alias="]),
    (Cookies, Param("cookie"), MISSING, ["field `theme`", "'a=b' can't be the name of a cookie"]),
    (Annotated[str, Param("header")] | None, None, None, ["its Param(...) is inside the type"]),
]


@pytest.mark.parametrize(("annotation", "mark", "default", "says"), MISTAKES)
def test_a_parameter_that_can_not_be_read_is_refused(
    annotation: Any, mark: types.ParamMark | None, default: Any, says: list[str]
) -> None:
    with pytest.raises(HandlerSignatureError) as caught:
        param_spec(
            "item",
            annotation,
            default,
            mark=mark,
            path_keys=Template.parse("/{key}").by_name,
            kind=WEBSOCKETS,
            where=WHERE,
        )
    message = caught.value.message
    assert message.startswith("parameter `item`")
    assert caught.value.where == WHERE
    for part in says:
        assert part in message
    assert "typing." not in message


def test_a_default_on_a_parameter_that_the_path_has_by_name_is_refused() -> None:
    with pytest.raises(HandlerSignatureError, match="default"):
        param_spec(
            "room",
            int,
            1,
            mark=None,
            path_keys=Template.parse("/{room}").by_name,
            kind=WEBSOCKETS,
            where=WHERE,
        )


@pytest.mark.parametrize("source", ["path", None])
def test_an_alias_that_the_path_does_not_have_is_refused(source: types.ParamSource | None) -> None:
    with pytest.raises(HandlerSignatureError, match=r"'id', and the path has {room}: leave alias="):
        param_spec(
            "room",
            int,
            MISSING,
            mark=Param(source, alias="id"),
            path_keys=Template.parse("/{room}").by_name,
            kind=WEBSOCKETS,
            where=WHERE,
        )


def test_a_path_without_keys_is_said_to_have_none() -> None:
    with pytest.raises(HandlerSignatureError, match="it has: none"):
        param_spec(
            "room", int, MISSING, mark=Param("path"), path_keys={}, kind=WEBSOCKETS, where=WHERE
        )


def test_a_decoder_reads_what_nothing_else_can() -> None:
    mark = Param("cookie", decoder=lambda text: Custom())
    assert param_spec(
        "item", Custom, MISSING, mark=mark, path_keys={}, kind=WEBSOCKETS, where=WHERE
    ).known.required


@pytest.mark.parametrize(
    "annotation",
    [
        int, str, Any, UUID | None, Mixed, Literal["a"], list[int], tuple[int, str], set[date],
        # These are mistakes, but a factory wouldn't help.
        Decimal | UUID, Annotated[str, msgspec.Meta(ge=1)], Annotated[str, Param()] | None,
    ],
)  # fmt: skip
def test_types_made_from_text_are_readable(annotation: Any) -> None:
    assert is_readable(annotation)


@pytest.mark.parametrize(
    "annotation",
    [
        bytes, Custom, Page, DataPage, dict, None, object, list[Page], int | Custom, Text,
        Callable[[], None], Iterable[int], "int", [int],
    ],
)  # fmt: skip
def test_types_that_need_a_factory_are_not_readable(annotation: Any) -> None:
    assert not is_readable(annotation)


@pytest.mark.parametrize(
    "annotation",
    [Page, Page | None, DataPage, AttrsPage, DictPage, TuplePage, dict, dict[str, int]],
)
def test_types_like_a_body_have_fields(annotation: Any) -> None:
    assert has_fields(annotation)


@pytest.mark.parametrize("annotation", [int, str, list[Page], tuple[int, str], Custom, None, "x"])
def test_other_types_have_no_fields(annotation: Any) -> None:
    assert not has_fields(annotation)
