"""Advice for error messages: what to write for a parameter that nothing fills."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import AsyncIterable, AsyncIterator
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args, get_origin

from triows._annotations import others_than_types, type_name
from triows._where import code_for, name_of

from .marks import without_metadata
from .signatures import is_protocol, signature_of

if TYPE_CHECKING:
    from .kinds import RouteKind
    from .providers import Providers

__all__ = [
    "annotation_advice",
    "disagreement",
    "given_advice",
    "mistaken_for_text",
    "provider_advice",
    "untaken_key",
]


def annotation_advice(name: str, kind: RouteKind) -> str:
    """Say what to write for a parameter without an annotation."""
    if name in kind.names:
        return f"write `{name}: {kind.names[name]}`"
    if name == "self":
        return "it belongs to a method: give the method of an object, and not that of the class"
    return (
        f"write its type, as in `{name}: int` for a value from the request, or "
        f"`{name}: Annotated[TYPE, use(factory)]` for a value that a factory makes"
    )


def mistaken_for_text(name: str, annotation: Any, kind: RouteKind) -> str | None:
    """
    Say what to write if a parameter would be read from the query by mistake: ``nursery: str``.

    Its name says that it is something that handlers of this kind are given. Every client that
    doesn't send a text of that name would be refused.
    """
    says_nothing = without_metadata(annotation) is Any
    if name not in kind.unmistakable and not (says_nothing and name in kind.names):
        return None
    type_ = type_name(annotation)
    return (
        f"write `{name}: {kind.names[name]}`, or, if clients do send a {name!r} in the query, "
        f'`{name}: Annotated[{type_}, Param("query")]`'
    )


def untaken_key(handler: Any, key: str, type_: str) -> str:
    """Say what to do about a key of the path that no parameter takes."""
    if key in signature_of(handler).parameters:
        return (
            f"nothing takes {{{key}}} of the path, and the parameter `{key}`, which has the same "
            f"name, comes from elsewhere: rename the key, as in {{path_{key}}}, and add a "
            f"parameter `path_{key}: {type_}`, or take the key out of the path"
        )
    written = f"`{key}: {type_}`"
    if keyword.iskeyword(key):  # no parameter can have that name
        written = f'`{key}_: Annotated[{type_}, Param("path", alias="{key}")]`'
    return (
        f"nothing takes {{{key}}} of the path: add a parameter {written} to the handler or to one "
        "of its factories, or take it out of the path"
    )


# Values that people write for a type.
_PLAIN = (bool, int, float, complex, bytes)
_CONTAINERS = (list, tuple, dict, set)

# Functions with the name of a type.
_NAMESAKES = {"any": "typing.Any", "callable": "collections.abc.Callable"}


def _not_a_type(name: str, annotation: Any) -> str | None:
    """Say what to write for an annotation that has something else in the place of a type."""
    part = next(others_than_types(annotation), None)
    if part is None:
        return None
    return f"`{name}: {type_name(annotation)}` doesn't name a type: {_why_no_type(name, part)}"


def _why_no_type(name: str, part: Any) -> str:
    kind = type(part).__name__
    if inspect.ismodule(part):
        own = part.__name__.rpartition(".")[2]
        cls = next((one for one in vars(part) if one.lower() == own.lower()), "Class")
        return f"{own} is a module. Write a class of it, such as `{part.__name__}.{cls}`"
    if inspect.isbuiltin(part):
        meant = _NAMESAKES.get(part.__name__, "int")
        return f"{part.__name__} is a function. Write a type, such as `{meant}`"
    if isinstance(part, _PLAIN):
        return (
            f"{part!r} is a value. Write its type, and the value after it if it is the default, as "
            f"in `{name}: {kind} = {part!r}`"
        )
    if isinstance(part, _CONTAINERS):
        return f"a {kind} is a value. Write a type, such as `{kind}[...]`"
    return f"an instance of {kind} is a value. Write the class itself, `{kind}`"


# Bytes of a body. In a query, there are only texts.
_RAW = (bytes, bytearray, memoryview)

# What Starlette and FastAPI run when a response is over.
_LATER = ("BackgroundTasks", "BackgroundTask")


def _for_later(name: str, kind: RouteKind) -> str:
    return (
        f"annotate it `{name}: trio.Nursery` for tasks that end with the {kind.noun}. Start work "
        'that has to outlive it in a nursery that a factory with scope="app" makes, '
        f'`{name}: Annotated[trio.Nursery, use(factory, scope="app")]`, and call '
        f"`{name}.start_soon(...)`"
    )


def _for_file(wanted: type, kind: RouteKind) -> str:
    if kind.body is None:
        return f"it comes in a form, and {kind.no_body}"
    return f"write `from triows import UploadFile`, and not {wanted.__module__.partition('.')[0]}'s"


# Our classes that are read from a body, by name.
_FROM_BODY = ("Upload", "Part")

_ASYNC_ITERATORS = (AsyncIterator, AsyncIterable)


def _of_body(name: str, annotation: Any, kind: RouteKind) -> str | None:
    """Say what to write for what a body is read by, if it isn't there or is called otherwise."""
    shown, origin = type_name(annotation), get_origin(annotation)
    ours = getattr(annotation, "__module__", "").partition(".")[0] == "triows"
    what = getattr(annotation, "__name__", "") if ours else ""
    is_stream = origin in _ASYNC_ITERATORS
    is_bytes = is_stream and get_args(annotation) == (bytes,)
    if what == "Part" and kind.body is not None:
        return (
            f"`{name}` is a Part, which nothing makes alone: ask for `upload: Upload`, and write "
            "`async for part in upload`"
        )
    if kind.body is None and (is_bytes or what in _FROM_BODY or annotation in _RAW):
        return f"`{name}: {shown}` is read from the body, and {kind.no_body}: take it out"
    if kind.body is not None and is_stream and not is_bytes:
        return (
            f"`{name}: {shown}` isn't how a body comes: write `{name}: AsyncIterator[bytes]`, and "
            "decode what comes"
        )
    return None


def given_advice(name: str, annotation: Any, kind: RouteKind) -> str | None:
    """
    Say what to write for a parameter that probably means one of the givens.

    Other libraries have classes with the same names, and other names for a nursery or an
    application.
    """
    annotation = without_metadata(annotation)
    if (problem := _not_a_type(name, annotation)) is not None:
        return problem
    if (problem := _of_body(name, annotation, kind)) is not None:
        return problem
    members = [one for one in get_args(annotation) or (annotation,) if one is not NoneType]
    for wanted in members:
        if not isinstance(wanted, type):
            continue
        ours = next((one for one in kind.givens if one.__name__ == wanted.__name__), None)
        meant = kind.names.get(wanted.__name__) if ours is None else _full_name(ours)
        shown = _full_name(wanted) if wanted is annotation else type_name(annotation)
        if wanted.__name__ in _LATER:
            return f"`{name}` is a {shown}, which nothing makes: {_for_later(name, kind)}"
        is_ours = kind.body is not None and wanted is kind.body.file
        if wanted.__name__ == "UploadFile" and not is_ours:
            return f"`{name}` is a {shown}, which nothing makes: {_for_file(wanted, kind)}"
        if wanted.__name__ in kind.remedies:
            return f"`{name}` is a {shown}, which nothing makes: {kind.remedies[wanted.__name__]}"
        if meant is not None:
            return f"`{name}` is a {shown}, which nothing makes: annotate it `{name}: {meant}`"
    if annotation is object and name in kind.names:
        return (
            f"`{name}` is any object, which nothing makes: annotate it `{name}: {kind.names[name]}`"
        )
    return None


def _full_name(cls: type) -> str:
    package = cls.__module__.partition(".")[0]
    # Our own classes are exported from triows, whichever module defines them.
    return f"{package if package == 'triows' else cls.__module__}.{cls.__qualname__}"


def provider_advice(name: str, annotation: Any, providers: Providers, *, in_app: bool) -> str:
    """Say what to write for a value that a factory has to make."""
    wanted = type_name(annotation)
    near = providers.near(annotation)
    if near is not None:
        made = type_name(near.made)
        return f"{name_of(near.factory)} in deps= makes {made}, so annotate it `{name}: {made}`"
    place = (
        'to the application with deps=[use(factory, scope="app")]'
        if in_app
        else "to the route or the application with deps=[factory]"
    )
    advice = f"annotate it `{name}: Annotated[{wanted}, use(factory)]`, or give the factory {place}"
    cls = get_origin(annotation) or annotation
    if is_protocol(cls) or inspect.isabstract(cls):
        advice += f". The factory may return a class derived from {wanted}"
    return advice


def disagreement(name: str, annotation: Any, factory: Any, made: Any) -> str:
    """Say that a factory makes something other than what the parameter asks for."""
    asked, makes, called = type_name(annotation), type_name(made), name_of(factory)
    code = code_for(factory)
    if isinstance(get_origin(factory) or factory, type):
        return (
            f"`{name}` asks for {asked}, and entering {called} gives {makes}: annotate it "
            f"`{name}: Annotated[{makes}, use({code})]`, or, for the {called} itself, use a "
            f"function that returns it, `def make() -> {called}: return {called}()`"
        )
    return (
        f"`{name}` asks for {asked}, and {called} makes {makes}: annotate it "
        f"`{name}: Annotated[{makes}, use({code})]`, or use a factory that makes {asked}"
    )
