"""What is in ``Annotated``: our marks, those of others, and a factory without ``use``."""

import enum
import functools
import sys
import threading
import types
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NewType

import attrs
import msgspec
import pytest
import trio
from starlette.datastructures import Headers
from typing_extensions import Doc, TypeAliasType, deprecated

import triows
from tests.listed import listed_parameters
from triows import HTTPException, Ignore, Param, Triows, WebSocket, WebSocketRoute, use
from triows._where import where
from triows.exceptions import HandlerSignatureError, RouteSetupError
from triows.types import IGNORE, IgnoreMark, ParamMark, UseMark


async def current_user(token: str) -> str:
    return token


def current_users() -> list[str]:
    return []


class Guard:
    def __call__(self) -> str:
        return ""

    def method(self) -> str:
        return ""

    @classmethod
    def of_class(cls) -> str:
        return ""


async def generator_of_users():
    yield "ada"


class Database:
    pass


BARE = "use(OBJECT)]`, with the object that you have there now in place of OBJECT"
PARTIAL = "use(functools.partial(current_user, ...))]`"

FORGOTTEN = [
    pytest.param(current_user, "use(current_user)", id="async function"),
    pytest.param(current_users, "use(current_users)", id="function"),
    pytest.param(lambda: "ada", BARE, id="lambda"),
    pytest.param(Guard, "use(Guard)", id="class"),
    pytest.param(Guard(), BARE, id="callable object"),
    pytest.param(Guard().method, "use(OBJECT.method)]`, with the object", id="method"),
    pytest.param(Guard.of_class, "use(Guard.of_class)", id="class method"),
    pytest.param(functools.partial(current_user, token=""), PARTIAL, id="partial"),
    pytest.param(len, "use(len)", id="built-in"),
    pytest.param(functools.lru_cache(current_users), "use(current_users)", id="cached function"),
    pytest.param(use, "write `user: Annotated[str, use(factory)]`", id="use"),
    pytest.param(UseMark, "write `user: Annotated[str, use(factory)]`", id="UseMark"),
    pytest.param(Param, 'write `user: Annotated[str, Param("header")]`', id="Param"),
    pytest.param(ParamMark, 'write `user: Annotated[str, Param("header")]`', id="ParamMark"),
    pytest.param(Ignore, "write `user: Ignore[str]`", id="Ignore"),
    pytest.param(IgnoreMark, "write `user: Ignore[str]`", id="IgnoreMark"),
    pytest.param(generator_of_users(), "give the function itself", id="called async generator"),
]


def included(handler: Any, **options: Any) -> Triows:
    route = WebSocketRoute("rooms")
    route.endpoint(handler, **options)
    return Triows(route)


def refused(handler: Any, to_blame: Any = None, **options: Any) -> str:
    """Return the message that refuses a handler. It has to name the wrong function."""
    with pytest.raises(RouteSetupError) as caught:
        included(handler, **options)
    assert caught.value.where == where(to_blame or handler)
    return caught.value.message


@pytest.mark.parametrize(("forgotten", "remedy"), FORGOTTEN)
def test_what_can_be_called_is_refused_in_annotated(forgotten: Any, remedy: str):
    async def handler(user: Annotated[str, forgotten]) -> None: ...

    message = refused(handler)
    assert message.startswith("`user` has ")
    assert remedy in message


@pytest.mark.parametrize(("forgotten", "remedy"), FORGOTTEN)
def test_so_it_is_on_a_parameter_of_a_factory(forgotten: Any, remedy: str):
    def factory(user: Annotated[str, forgotten]) -> Database: ...

    async def handler(database: Annotated[Database, use(factory)]) -> None: ...
    async def by_type(database: Database) -> None: ...

    assert remedy in refused(handler, factory)
    assert remedy in refused(by_type, factory, deps=[factory])


def test_a_coroutine_that_nobody_awaits_is_refused_in_annotated():
    coroutine = current_user("")

    async def handler(user: Annotated[str, coroutine]) -> None: ...

    message = refused(handler)
    coroutine.close()
    assert "give the function itself, `user: Annotated[str, use(current_user)]`" in message


NESTED = [
    lambda inner: inner | None,
    lambda inner: list[inner],
    lambda inner: set[inner] | None,
    lambda inner: tuple[inner, ...],
    lambda inner: Annotated[list[inner], Param("query")],
    lambda inner: Annotated[inner | None, "a note"],
    lambda inner: Ignore[list[inner]],
    lambda inner: TypeAliasType("Alias", inner),
    lambda inner: list[TypeAliasType("Alias", inner)],
    lambda inner: NewType("User", inner),
    lambda inner: list[NewType("User", NewType("Name", inner)) | None],
]


@pytest.mark.parametrize("around", NESTED)
@pytest.mark.parametrize("forgotten", [current_user, use, Param, Ignore, Guard()])
def test_it_is_refused_however_deep_it_stands(around: Any, forgotten: Any):
    async def handler(user: around(Annotated[str, forgotten])) -> None: ...

    assert "write `user: " in refused(handler)


@pytest.mark.parametrize("around", [*NESTED[:5], *NESTED[-2:]])
@pytest.mark.parametrize("mark", [use(current_user), Param("header"), *Ignore[str].__metadata__])
def test_a_mark_inside_the_type_is_refused_for_it_would_do_nothing(around: Any, mark: Any):
    async def handler(user: around(Annotated[str, mark])) -> None: ...

    assert "inside its type, where it does nothing" in refused(handler)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="`type` came with Python 3.12")
def test_it_is_refused_in_a_type_statement():
    names: dict[str, Any] = {**globals()}
    exec("type User = Annotated[str, current_user]\ntype Of[T] = Annotated[T, current_user]", names)
    User, Of = names["User"], names["Of"]  # noqa: N806 - types

    async def handler(user: User) -> None: ...
    async def other(user: list[Of[str]]) -> None: ...

    assert "use(current_user)" in refused(handler)
    assert "use(current_user)" in refused(other)


def test_it_is_refused_in_postponed_annotations():
    async def handler(user: "Annotated[str, current_user]") -> None: ...
    async def inside(user: list["Annotated[str, current_user]"]) -> None: ...

    assert "use(current_user)" in refused(handler)
    assert "use(current_user)" in refused(inside)


def test_it_is_refused_beside_a_mark_that_is_right():
    async def handler(user: Annotated[str, Param("header"), current_user]) -> None: ...
    async def other(user: Annotated[str, use(current_user), current_users]) -> None: ...

    assert "use(current_user)" in refused(handler)
    assert "use(current_users)" in refused(other)


# Fields of packs


@dataclass
class DataclassPage:
    user: Annotated[str, current_user]


@attrs.define
class AttrsPage:
    user: Annotated[str, current_user] | None = None


class StructPage(msgspec.Struct):
    user: list[Annotated[str, current_user]]


class UsingPage(msgspec.Struct):
    user: Annotated[str, use(current_user)]


@pytest.mark.parametrize("page", [DataclassPage, AttrsPage, StructPage, UsingPage])
def test_it_is_refused_in_the_fields_of_a_pack(page: Any):
    async def handler(page: Annotated[page, Param("query")]) -> None: ...

    message = refused(handler)
    assert message.startswith("`page`, field `user`, has ")


# Return annotations


@pytest.mark.parametrize(
    "returned",
    [
        Annotated[Database, current_user],
        Annotated[Database, use(current_user)],
        Annotated[Database, Param("header")],
        Annotated[AsyncIterator[Database], use],
        AsyncIterator[Annotated[Database, current_user]],
        use(current_user),
    ],
)
def test_it_is_refused_in_what_a_function_is_annotated_to_return(returned: Any):
    async def factory() -> returned:
        yield Database()

    async def handler(database: Annotated[Database, use(factory)]) -> None: ...
    async def by_type(database: Database) -> None: ...
    async def returning() -> returned: ...

    assert "the return annotation has " in refused(handler, factory)
    assert "the return annotation has " in refused(by_type, factory, deps=[factory])
    assert "the return annotation has " in refused(returning)


# In place of the type, or as a default


def test_a_function_in_place_of_the_type_is_refused():
    async def handler(user: current_user) -> None: ...

    message = refused(handler)
    assert "the function current_user as its annotation" in message
    assert "`user: Annotated[TYPE, use(current_user)]`" in message


@pytest.mark.parametrize(
    "default",
    [
        current_user,
        Guard().method,
        len,
        lambda: "ada",
        Database,
        functools.partial(len),
        Guard(),
        NewType("User", str),
        functools.lru_cache(current_users),
    ],
)
def test_a_function_as_a_default_is_refused(default: Any):
    async def handler(user: str = default) -> None: ...

    message = refused(handler)
    assert "as its default, which is not called" in message
    assert "`user: Annotated[str, use(" in message


class Level(enum.Enum):
    LOW = 1

    def __call__(self) -> int:
        return self.value


@dataclass(frozen=True)
class CallablePage:
    number: int = 1

    def __call__(self) -> int:
        return self.number


def test_a_value_that_can_be_called_may_be_the_default_of_its_own_type():
    async def handler(
        level: Level = Level.LOW,
        perhaps: Level | None = Level.LOW,
        named: NewType("Named", Level) = Level.LOW,
        limited: Annotated[Level, "a note"] = Level.LOW,
        page: Annotated[CallablePage, Param("query")] = CallablePage(2),
    ) -> None: ...

    included(handler)


@pytest.mark.parametrize("type_", [str, int | None, list[str], Annotated[str, Param("header")]])
def test_an_ellipsis_as_a_default_is_refused_because_it_would_be_the_value(type_: Any):
    async def handler(user: type_ = ...) -> None: ...

    def factory(user: type_ = ...) -> Database: ...

    async def asking(database: Annotated[Database, use(factory)]) -> None: ...

    remedy = "`user` has `...` as its default: leave the default out, and it is required"
    assert refused(handler) == remedy
    assert refused(asking, factory) == remedy


def test_an_ellipsis_is_refused_beside_a_decoder():
    async def handler(user: Annotated[str, Param("query", decoder=str.upper)] = ...) -> None: ...

    assert "leave the default out" in refused(handler)


@pytest.mark.parametrize(
    ("default", "remedy"),
    [
        (..., "leave the default out, and it is required"),
        (current_user, "ask for what it makes in a parameter of its own"),
        (Guard(), "ask for what it makes in a parameter of its own"),
    ],
)
def test_the_same_defaults_are_refused_in_the_fields_of_a_pack(default: Any, remedy: str):
    @dataclass
    class Page:
        user: str = default

    async def handler(page: Annotated[Page, Param("query")]) -> None: ...

    message = refused(handler)
    assert message.startswith("`page`, field `user`, has ")
    assert remedy in message


def test_a_class_that_is_a_built_in_function_may_be_a_type():
    def get_lock() -> threading.Lock:
        return threading.Lock()

    async def handler(a: Annotated[threading.Lock, use(get_lock)], b: threading.Lock) -> None: ...

    included(handler, deps=[get_lock])


def test_a_function_may_be_the_default_of_what_a_decoder_makes():
    def by_name(text: str) -> Any:
        return {"len": len, "max": max}[text]

    async def handler(key: Annotated[Any, Param("query", decoder=by_name)] = len) -> None: ...

    included(handler)


# Marks of other libraries


def foreign(package: str, name: str) -> Any:
    """Make an object that another framework uses in Annotated, or as a default."""
    return type(name, (), {"__module__": f"{package}.params"})()


@pytest.mark.parametrize(
    ("mark", "remedy"),
    [
        (foreign("fastapi", "Depends"), "use(factory)"),
        (foreign("fastapi", "Security"), "use(factory)"),
        (foreign("fastapi", "Header"), 'Param("header")'),
        (foreign("fastapi", "Cookie"), 'Param("cookie")'),
        (foreign("fastapi", "Query"), 'Param("query")'),
        (foreign("fastapi", "Body"), 'Param("body")'),
        (foreign("fastapi", "Form"), 'Param("form")'),
        (foreign("fastapi", "File"), "`token: UploadFile`"),
        (foreign("lihil", "ParamMeta"), "Param(...)"),
        (foreign("lihil", "BodyMeta"), 'Param("body")'),
        (foreign("lihil", "FormMeta"), 'Param("form")'),
    ],
)
def test_a_mark_of_another_framework_is_refused_with_ours(mark: Any, remedy: str):
    async def handler(token: Annotated[str, mark]) -> None: ...
    async def inside(token: list[Annotated[str, mark]]) -> None: ...
    async def default(token: str = mark) -> None: ...

    for wrong in (handler, inside, default):
        message = refused(wrong)
        assert "which means nothing to triows" in message
        assert remedy in message


@pytest.mark.parametrize(
    ("type_", "written"),
    [
        (bytes, "file: UploadFile"),
        (bytes | None, "file: UploadFile | None"),
        (list[bytes], "file: list[UploadFile]"),
        (str, "file: UploadFile"),
    ],
)
def test_a_file_of_another_framework_keeps_its_shape(type_: Any, written: str):
    async def handler(file: Annotated[type_, foreign("fastapi", "File")]) -> None: ...

    assert refused(handler).endswith(f"write `{written}`")


@pytest.mark.parametrize(
    ("mark", "remedy"),
    [
        (type(foreign("fastapi", "Depends")), "use(factory)"),
        (type(foreign("fastapi", "Header")), 'Param("header")'),
        (type(foreign("litestar", "Cookie")), 'Param("cookie")'),
    ],
)
def test_so_it_is_if_it_was_not_called(mark: Any, remedy: str):
    async def handler(token: Annotated[str, mark]) -> None: ...
    async def default(token: str = mark) -> None: ...

    for wrong in (handler, default):
        message = refused(wrong)
        assert f"{mark.__name__}, which means nothing to triows" in message
        assert remedy in message


@pytest.mark.parametrize(
    ("word", "source"),
    [
        ("cookie", "cookie"),
        ("header", "header"),
        ("query", "query"),
        ("path", "path"),
        ("Cookie", "cookie"),
        ("headers", "header"),
        (" header ", "header"),
        (Headers, "header"),
        (type("Cookie", (), {}), "cookie"),
    ],
)
def test_a_bare_word_for_where_a_parameter_comes_from_is_refused(word: Any, source: str):
    async def handler(token: Annotated[str, word]) -> None: ...

    message = refused(handler)
    assert "in its Annotated, which does nothing there" in message
    assert f'write `token: Annotated[str, Param("{source}")]`' in message


def make() -> str: ...


# Mistakes in an annotation, and what its remedy puts beside the type.
MISPLACED: list[tuple[Any, str]] = [
    ("query", 'Param("query")'),
    (Headers, 'Param("header")'),
    (make, "use(make)"),
    (use, "use(factory)"),
    (Param, 'Param("header")'),
    (foreign("fastapi", "Query"), 'Param("query")'),
]

# Marks that are meant for the whole type. Around it they are right.
INSIDE: list[tuple[Any, str]] = [(use(make), "use(make)"), (Param("query"), 'Param("query")')]


@pytest.mark.parametrize(("misplaced", "written"), [*MISPLACED, *INSIDE])
@pytest.mark.parametrize(
    ("around", "whole"),
    [
        (lambda inner: list[inner], "list[str]"),
        (lambda inner: inner | None, "str | None"),
        (lambda inner: list[inner | None], "list[str | None]"),
        (lambda inner: tuple[int, inner], "tuple[int, str]"),
        (lambda inner: Annotated[list[inner], "a note"], "list[str]"),
    ],
)
def test_the_remedy_for_a_part_of_a_type_has_the_whole_type(
    misplaced: Any, written: str, around, whole: str
):
    async def handler(token: around(Annotated[str, misplaced])) -> None: ...

    assert f"`token: Annotated[{whole}, {written}]`" in refused(handler)


@pytest.mark.parametrize(("default", "written"), INSIDE)
def test_the_remedy_for_a_mark_as_default_has_the_type(default: Any, written: str):
    async def handler(token: list[str] | None = default) -> None: ...

    async def untyped(token=default) -> None: ...

    assert f"`token: Annotated[list[str] | None, {written}]`" in refused(handler)
    assert f"`token: Annotated[TYPE, {written}]`" in refused(untyped)


@pytest.mark.parametrize("title", ["Query", "query", "Path", "headers", "Cookie"])
def test_a_field_may_have_a_title_that_names_a_source(title: str):
    @dataclass
    class Search:
        text: Annotated[str, title] = ""
        tags: list[Annotated[str, title]] | None = None

    async def handler(search: Annotated[Search, Param("query")]) -> None: ...

    included(handler)


def test_a_word_beside_a_mark_is_somebody_elses():
    async def handler(token: Annotated[str, Param("header"), "Query"]) -> None: ...

    included(handler)


def test_pythons_path_is_a_factory_that_was_forgotten():
    async def handler(token: Annotated[str, Path]) -> None: ...

    assert "use(Path)" in refused(handler)


@dataclass
class Predicate:
    """As in annotated_types: it holds a function, and isn't one."""

    func: Any


class SchemaOf:
    """As in pydantic: a class that says how to validate a type."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any: ...


class Not:
    """As in annotated_types: a constraint that can be called."""

    __module__ = "annotated_types"

    def __call__(self, value: Any) -> bool:
        return not value


@pytest.mark.parametrize(
    "extra",
    [
        Not(),
        "a note",
        "the cookie of the session",
        "",
        type("Header", (SchemaOf,), {}),
        5,
        None,
        ...,
        {"not": "hashable", "nested": {"cookie": [1, 2.5, None]}},
        ["a", "list"],
        ("a", {"tuple"}, frozenset({3})),
        msgspec.Meta(min_length=1),
        Doc("what it is"),
        deprecated("use another"),
        Predicate(len),
        SchemaOf,
        attrs.make_class("Len", ["minimum"])(1),
        types.SimpleNamespace(title="Limit"),
    ],
)
def test_what_others_put_into_annotated_is_let_alone(extra: Any):
    UserId = NewType("UserId", str)

    async def handler(
        ws: Annotated[WebSocket, extra],
        nursery: Annotated[trio.Nursery, extra],
        room: Annotated[str, extra],
        rooms: list[Annotated[str, extra]],
        user: Annotated[UserId, extra],
        made: Annotated[Annotated[Database, extra], use(Database)],
        found: Annotated[Database, extra],
    ) -> Annotated[None, extra]: ...

    assert listed_parameters(included(handler, deps=[Database])) == (
        "query room: str",
        "query rooms: list[str]",
        "query user: UserId",
    )


def test_every_mark_of_ours_is_exported_where_the_messages_say():
    assert {"use", "Param", "Ignore"} <= set(triows.__all__)
    with pytest.raises(HandlerSignatureError):
        included(handler_with_bare_use)


async def handler_with_bare_use(user: Annotated[int, use]) -> None: ...


# Marks and factories inside other metadata, and more than one mark.

PAIRS = [
    pytest.param(Param("header"), Param("query"), id="Param, Param"),
    pytest.param(use(current_user), use(current_users), id="use, use"),
    pytest.param(use(current_user), use(current_user), id="the same use"),
    pytest.param(use(current_user), Param("query"), id="use, Param"),
    pytest.param(IGNORE, Param("query"), id="Ignore, Param"),
    pytest.param(use(current_user), IGNORE, id="use, Ignore"),
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_second_mark_is_refused_because_only_one_would_count(first: Any, second: Any):
    Name = Annotated[str, first]  # noqa: N806 - a type

    async def in_one(user: Annotated[str, first, "a note", second]) -> None: ...
    async def around_a_name(user: Annotated[Name, second]) -> None: ...

    for handler in (in_one, around_a_name):
        message = refused(handler)
        assert "only one mark can count: write `user: " in message
        assert "If a name for a type brings one of them" in message


def test_so_it_is_in_the_fields_of_a_pack():
    @dataclass
    class Page:
        size: Annotated[int, Param(ge=1), Param(le=100)] = 10

    async def handler(page: Annotated[Page, Param("query")]) -> None: ...

    assert "field `size`, has Param(...) and Param(...)" in refused(handler)


INSIDE_METADATA = [
    pytest.param(lambda mark: [mark], id="list"),
    pytest.param(lambda mark: ("a note", mark), id="tuple"),
    pytest.param(lambda mark: {mark}, id="set"),
    pytest.param(lambda mark: {"dep": mark}, id="value of a dict"),
    pytest.param(lambda mark: {mark: 1}, id="key of a dict"),
    pytest.param(lambda mark: [{"deps": (mark,)}], id="deep"),
]


@pytest.mark.parametrize("inside", INSIDE_METADATA)
@pytest.mark.parametrize(
    ("mark", "remedy"),
    [
        (use(current_user), "Annotated[str, use(current_user)]"),
        (Param("header"), 'Annotated[str, Param("header")]'),
        (IGNORE, "Ignore[str]"),
        (current_user, "Annotated[str, use(current_user)]"),
        (Param, 'Annotated[str, Param("header")]'),
    ],
)
def test_a_mark_or_a_factory_inside_other_metadata_is_refused(inside: Any, mark: Any, remedy: str):
    async def handler(user: Annotated[str, inside(mark)]) -> None: ...
    async def default(user: str = inside(mark)) -> None: ...

    assert f"write `user: {remedy}`" in refused(handler)
    if mark is not IGNORE:
        assert "write `user: Annotated[str, " in refused(default)


def test_a_word_for_a_source_is_refused_in_a_list():
    async def handler(user: Annotated[str, ["cookie"]]) -> None: ...

    assert 'write `user: Annotated[str, Param("cookie")]`' in refused(handler)


@pytest.mark.parametrize(
    "descriptor",
    [classmethod(current_users), property(current_users), functools.cached_property(current_users)],
)
def test_a_function_inside_a_descriptor_is_refused(descriptor: Any):
    async def handler(user: Annotated[str, descriptor]) -> None: ...

    assert "use(current_users)" in refused(handler)


def test_metadata_that_contains_itself_is_let_alone():
    endless: list[Any] = []
    endless.append(endless)

    async def handler(user: Annotated[str, endless]) -> None: ...

    assert listed_parameters(included(handler)) == ("query user: str",)


class OwnError(HTTPException):
    """An error of the user's."""


@pytest.mark.parametrize(
    ("ours", "named"),
    [
        (WebSocketRoute("other"), "WebSocketRoute(...)"),
        (Triows, "Triows"),
        (Triows(), "Triows(...)"),
        (WebSocket, "WebSocket"),
        (HTTPException(403), "HTTPException(...)"),
        (OwnError(403), "OwnError(...)"),
        (triows.Timeouts(), "Timeouts(...)"),
        (triows.serve, "serve"),
        ([triows.Limits()], "Limits(...)"),
    ],
)
def test_other_things_of_triows_are_refused_in_annotated(ours: Any, named: str):
    async def handler(user: Annotated[str, ours]) -> None: ...

    assert f"`user` has triows's {named} in its Annotated" in refused(handler)
