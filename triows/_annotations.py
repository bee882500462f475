"""What an annotation means: the type behind a name, its constraints, and how to write it."""

from __future__ import annotations

import collections.abc
import inspect
import sys
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    NewType,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "constrained",
    "constraints",
    "described",
    "expanded",
    "mentions",
    "others_than_types",
    "substituted",
    "type_name",
    "unnamed",
]

# The constraints that both annotated_types and msgspec have, with the same names.
_CONSTRAINTS = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length")


def unnamed(annotation: Any) -> Any:
    """Return the type behind a ``NewType`` or an alias (see :func:`expanded`), or behind both."""
    while True:
        inner = expanded(annotation)
        if isinstance(inner, NewType):
            inner = inner.__supertype__
        if inner is annotation:
            return annotation
        annotation = inner


def expanded(annotation: Any) -> Any:
    """
    Return the type that a ``type`` statement (PEP 695) gives to an alias.

    After ``type Pair[T] = tuple[T, T]``, it is ``tuple[int, int]`` for ``Pair[int]``. Anything
    that isn't such an alias is returned unchanged.
    """
    if _is_alias(annotation):
        return annotation.__value__
    alias = get_origin(annotation)
    if not _is_alias(alias):
        return annotation
    given = dict(zip(alias.__type_params__, get_args(annotation), strict=False))
    return substituted(alias.__value__, given)


def substituted(annotation: Any, given: Mapping[Any, Any]) -> Any:
    """Replace type parameters in an annotation by what is given for them."""
    if isinstance(annotation, TypeVar):
        return given.get(annotation, annotation)
    # A generic class also has parameters. Without arguments, these are not the ones that are given.
    wanted = getattr(annotation, "__parameters__", ()) if get_origin(annotation) else ()
    return annotation[tuple(given.get(one, one) for one in wanted)] if wanted else annotation


def _is_alias(annotation: Any) -> bool:
    # Compare the name, because Python 3.11 has no such class and typing_extensions has its own.
    return type(annotation).__name__ == "TypeAliasType"


def constraints(marks: Iterable[Any]) -> list[msgspec.Meta]:
    """
    Return the constraints among the metadata of an ``Annotated``, in msgspec's form.

    Constraints of annotated_types (``Gt``, ``Len``) are translated. Other metadata is left out.

    Raises:
        TypeError: msgspec doesn't take a bound, for example a date.
    """
    return [meta for mark in marks if (meta := _meta(mark)) is not None]


def _meta(mark: Any) -> msgspec.Meta | None:
    if isinstance(mark, msgspec.Meta):
        return mark
    if type(mark).__module__ != "annotated_types":
        return None
    given = {name: getattr(mark, name, None) for name in _CONSTRAINTS}
    given = {name: value for name, value in given.items() if value is not None}
    try:
        return msgspec.Meta(**given) if given else None
    except (TypeError, ValueError) as exc:
        raise TypeError(
            f"the constraint {mark!r} can't be checked ({exc}): leave it out, and check the value "
            "yourself"
        ) from None


def constrained(annotation: Any) -> Any:
    """Translate all :func:`constraints` in a type to msgspec's form, except inside classes."""
    annotation = expanded(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _annotated(constrained(args[0]), constraints(args[1:]))
    if origin is Union or origin is UnionType:
        return Union[tuple(map(constrained, args))]  # noqa: UP007 - the members are not known here
    if origin in (list, set, frozenset, tuple, dict):
        return origin[tuple(map(constrained, args))]
    return annotation


def _annotated(annotation: Any, metas: list[msgspec.Meta]) -> Any:
    return Annotated[(annotation, *metas)] if metas else annotation


def type_name(annotation: Any) -> str:
    """Write a type as a person would in a signature, without modules and constraints."""
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation is ...:
        return "..."
    if annotation is None or annotation is NoneType:
        return "None"
    if origin is Annotated:
        return type_name(args[0])
    if origin is Union or origin is UnionType:
        return " | ".join(type_name(member) for member in args)
    if origin is Literal:
        return f"Literal[{', '.join(repr(value) for value in args)}]"
    name = getattr(origin or annotation, "__name__", None) or str(annotation)
    return f"{name}[{', '.join(type_name(arg) for arg in args)}]" if args else name


def described(annotation: Any) -> str:
    """Return the description in an annotation's metadata, or nothing."""
    metadata = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    texts = (getattr(one, "description", None) for one in metadata)
    return next((text for text in texts if isinstance(text, str)), "")


def mentions(annotation: Any, cls: type) -> bool:
    """
    Say whether a class, or one derived from it, is somewhere in a type.

    This doesn't look into the fields of classes.
    """
    try:
        return _mentions(annotation, cls)
    except RecursionError:  # an alias that contains itself
        return False


def _mentions(annotation: Any, cls: type) -> bool:
    annotation = unnamed(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return False
    found = origin or annotation
    if isinstance(found, type) and issubclass(found, cls):
        return True
    return any(_mentions(one, cls) for one in (args[:1] if origin is Annotated else args))


#: Values that people write for a type, for example because they mean a default, or a status.
_VALUES = (bool, int, float, complex, bytes, list, tuple, dict, set)


def others_than_types(annotation: Any) -> Iterator[Any]:
    """Find the parts of an annotation that aren't types."""
    origin = get_origin(annotation)
    # Some classes of the standard library, such as threading.Lock, are built-in functions.
    a_function = inspect.isbuiltin(annotation) and annotation.__module__ == "builtins"
    if a_function or inspect.ismodule(annotation) or _is_value(annotation):
        yield annotation
    elif origin not in (Literal, collections.abc.Callable):
        args = get_args(annotation)
        for argument in args[:1] if origin is Annotated else args:
            yield from others_than_types(argument)


def _is_value(annotation: Any) -> bool:
    cls = type(annotation)
    if cls in _VALUES:
        return True
    # What represents a type comes from Python, from its backports, or from triows.
    package = cls.__module__.partition(".")[0]
    known = (*sys.stdlib_module_names, "typing_extensions", "triows")
    return not isinstance(annotation, type) and package not in known
