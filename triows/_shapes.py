"""
Shapes: of which classes the parts of a value must be, so that nothing else is written.

A type comes in. A :class:`Shape` comes out, which checks every place where the type expects an
object with fields: in lists, dicts and unions, and in the fields of other objects. Where it expects
a number, a text or anything else that is plain, nothing is checked, because that would take longer
than writing it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import count
from operator import countOf
from reprlib import repr as excerpt
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    is_typeddict,
)

from attrs import field, frozen

from ._annotations import type_name, unnamed
from ._pydantic import is_model
from ._records import is_record, keeps_strays, names_of, strays_in, types_of

__all__ = ["BINARY", "Misfit", "Shape", "classes_of", "shape_of"]

#: The classes of bytes.
BINARY = (bytes, bytearray, memoryview)

#: A type checker lets an int be a float (PEP 484).
_PROMOTED = {float: (float, int), complex: (complex, float, int)}

_UNIONS = (Union, UnionType)

# What can stand around the type of a field, apart from Annotated. They are recognized by their
# names, because older versions of Python have them in typing_extensions.
_QUALIFIERS = ("Final", "NotRequired", "ReadOnly", "Required")

_MISSING: Any = object()

Check: TypeAlias = Callable[[Any], None]


class Misfit(TypeError):
    """
    A part of a value isn't as its type says.

    Args:
        problem: What is wrong, as a sentence of which the part is the subject.
        expected: What to write in its place, if that can be said.
        found: The class to annotate, if the part is as it should be.
    """

    def __init__(self, problem: str, expected: str = "", found: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.expected = expected
        self.found = found
        self.path = ""

    def add_step(self, step: str) -> None:
        """Say in which part of an outer value it is."""
        self.path = step + self.path

    def told(self, verb: str) -> str:
        """
        Say what is wrong, and what to do.

        Args:
            verb: What the program should do with a value that fits, for example ``"return"``.
        """
        text = f"{self.path.removeprefix('.') or 'it'} {self.problem}"
        if self.expected:
            text += f": put {self.expected} there" if self.path else f": {verb} {self.expected}"
        return f"{text}, or annotate {self.found}" if self.found else text


@frozen(eq=False)
class Shape:
    """
    What a value must be.

    Attributes:
        check: Raises :exc:`Misfit` for a value that it must not be.
        exact: An instance of this very class needs no check. ``None`` if there is no such class.
    """

    check: Check
    exact: type | None = None


def classes_of(type_: Any) -> tuple[type, ...]:
    """
    Return the classes of which a value must be an instance.

    Nothing looks into the value: what is in a list isn't checked. It is ``object`` if nothing is
    known.
    """
    type_ = unnamed(type_)
    origin = get_origin(type_)
    if origin is Annotated:
        return classes_of(get_args(type_)[0])
    if origin in _UNIONS:
        return tuple({cls: None for one in get_args(type_) for cls in classes_of(one)})
    if origin is Literal:
        return tuple({type(value): None for value in get_args(type_)})
    if isinstance(type_, TypeVar) or is_typeddict(origin or type_):
        return (dict,) if not isinstance(type_, TypeVar) else (object,)
    cls = origin or type_
    # Since Python 3.11, Any is a class, but one without instances.
    if cls is Any or not isinstance(cls, type) or getattr(cls, "_is_protocol", False):
        return (object,)
    if issubclass(cls, BINARY):
        return BINARY
    return _PROMOTED.get(cls, (cls,))


def shape_of(type_: Any, *, is_cut: bool = False) -> Shape | None:
    """
    Compile what the values of a type must be. This takes long, so keep what it returns.

    Args:
        type_: The type.
        is_cut: Whether the values are written by their types, as pydantic does. Then an instance
            of a subclass fits, since what the subclass has added isn't written. Nothing looks into
            the fields.

    Returns:
        ``None`` if the type has no place for an object with fields.

    Raises:
        TypeError: The annotations of a class can't be evaluated.
    """
    return _Compiler(is_cut).shape(type_)


@frozen(eq=False)
class _Compiler:
    is_cut: bool
    #: The classes that have been compiled. Until one has been, its list is empty. So a class can
    #: have fields of its own type.
    _known: list[tuple[Any, list[Shape]]] = field(factory=list, init=False)

    def shape(self, type_: Any) -> Shape | None:
        type_ = _bare(type_)
        args = get_args(type_)
        cls = get_origin(type_) or type_
        if cls in _UNIONS:
            return self._union(type_, args)
        if is_record(cls) or is_typeddict(cls):
            return self._once(type_, cls)
        if not isinstance(cls, type) or not args:
            return None
        if issubclass(cls, tuple) and args[-1] is not ...:
            return self._tuple(type_, args)
        if issubclass(cls, Mapping):
            return self._container(type_, cls, args[-1], _named)
        if issubclass(cls, Iterable):
            return self._container(type_, cls, args[0], _numbered)
        return None

    def _once(self, type_: Any, cls: Any) -> Shape:
        for known, made in self._known:
            if known == type_:
                return made[0] if made else _later(made)
        making: list[Shape] = []
        self._known.append((type_, making))
        making.append((self._typed_dict if is_typeddict(cls) else self._record)(type_, cls))
        return making[0]

    def _record(self, type_: Any, cls: Any) -> Shape:
        if self.is_cut:
            return Shape(_instances_of(cls), exact=cls)
        names = names_of(cls)
        # Pydantic looks into its models itself.
        types = {} if is_model(cls) else _types_of(type_)
        inner = self._fields({name: type_ for name, type_ in types.items() if name in names})
        has_strays = keeps_strays(cls)

        def check(value: Any) -> None:
            if type(value) is not cls:
                _check_class(value, cls)
                _check_strays(value)
            elif has_strays:
                _check_strays(value)
            try:
                for name, exact, check_part in inner:
                    part = getattr(value, name, _MISSING)
                    if type(part) is not exact and part is not _MISSING:
                        check_part(part)
            except Misfit as exc:
                exc.add_step(f".{name}")
                raise

        return Shape(check, exact=None if inner or has_strays else cls)

    def _typed_dict(self, type_: Any, cls: Any) -> Shape:
        if self.is_cut:
            return Shape(_instances_of(dict, type_name(type_)))
        types = _types_of(type_)
        inner = self._fields(types)
        # Where annotations are strings, Python doesn't see NotRequired.
        optional = {name for name, one in types.items() if get_origin(one) is NotRequired}
        required = cls.__required_keys__ - optional

        def check(value: Any) -> None:
            if not isinstance(value, dict):
                raise _wrong(value, type_name(type_))
            if value.keys() != types.keys():
                _check_keys(value, types, required, type_name(type_))
            try:
                for name, exact, check_part in inner:
                    part = value.get(name, _MISSING)
                    if type(part) is not exact and part is not _MISSING:
                        check_part(part)
            except Misfit as exc:
                exc.add_step(f"[{name!r}]")
                raise

        return Shape(check)

    def _fields(self, types: Mapping[str, Any]) -> list[tuple[str, type | None, Check]]:
        """List the fields that can hold an object with fields, and how each is checked."""
        shapes = [(name, self.shape(type_)) for name, type_ in types.items()]
        return [(name, shape.exact, shape.check) for name, shape in shapes if shape is not None]

    def _union(self, type_: Any, args: tuple[Any, ...]) -> Shape | None:
        members = [(classes_of(_bare(one)), self.shape(one)) for one in args]
        if all(shape is None for _, shape in members) or ((object,), None) in members:
            return None
        checks = [(classes, shape.check if shape else _anything) for classes, shape in members]
        exactly: dict[type, list[Check]] = {}
        for classes, check_one in checks:
            for cls in classes:
                exactly.setdefault(cls, []).append(check_one)

        def check(value: Any) -> None:
            found = exactly.get(type(value)) or [
                check_one for classes, check_one in checks if isinstance(value, classes)
            ]
            if not found:
                raise _wrong(value, type_name(type_))
            _check_any(found, value)

        return Shape(check, next((one.exact for _, one in members if one and one.exact), None))

    def _tuple(self, type_: Any, args: tuple[Any, ...]) -> Shape | None:
        checks = [shape.check if (shape := self.shape(one)) else _anything for one in args]
        if all(one is _anything for one in checks):
            return None

        def check(value: Any) -> None:
            if not isinstance(value, tuple):
                raise _wrong(value, type_name(type_))
            if len(value) != len(checks):
                raise Misfit(f"has {len(value)} items, but {type_name(type_)} is annotated")
            try:
                for number, check_part in enumerate(checks):
                    check_part(value[number])
            except Misfit as exc:
                exc.add_step(f"[{number}]")
                raise

        return Shape(check)

    def _container(self, type_: Any, cls: type, part_type: Any, split: _Split) -> Shape | None:
        shape = self.shape(part_type)
        if shape is None:
            return None
        exact, check_part = shape.exact, shape.check

        def check(value: Any) -> None:
            # An iterator isn't a collection: looking into it would empty it.
            if type(value) is not cls and not (
                isinstance(value, cls) and isinstance(value, Collection)
            ):
                raise _wrong(value, type_name(type_))
            keys, parts = split(value)
            # Nothing else in Python finds out as fast that all have the same class.
            if exact is not None and countOf(map(type, parts), exact) == len(parts):
                return
            try:
                for key, part in zip(keys, parts, strict=False):
                    if type(part) is not exact:
                        check_part(part)
            except Misfit as exc:
                exc.add_step(f"[{excerpt(key)}]")
                raise

        return Shape(check)


def _types_of(type_: Any) -> dict[str, Any]:
    try:
        return types_of(type_)
    except Exception as exc:  # whatever the annotations raise
        raise TypeError(
            f"the annotations of {type_name(type_)} can't be evaluated: {exc}. Define or import "
            "what they name at module level, not under TYPE_CHECKING"
        ) from exc


def _later(making: list[Shape]) -> Shape:
    def check(value: Any) -> None:
        making[0].check(value)

    return Shape(check)


def _bare(type_: Any) -> Any:
    """Leave out names, metadata, and what is said about a field beside its type."""
    while True:
        type_ = unnamed(type_)
        origin = get_origin(type_)
        if origin is not Annotated and getattr(origin, "_name", None) not in _QUALIFIERS:
            return type_
        type_ = get_args(type_)[0]


_Split: TypeAlias = Callable[[Any], tuple[Iterable[Any], Collection[Any]]]


def _named(value: Any) -> tuple[Iterable[Any], Collection[Any]]:
    return value, value.values()


def _numbered(value: Any) -> tuple[Iterable[Any], Collection[Any]]:
    return count(), value


# Checks.


def _anything(value: Any) -> None:
    pass


def _instances_of(cls: type, name: str = "") -> Check:
    def check(value: Any) -> None:
        if not isinstance(value, cls):
            raise _wrong(value, name or cls.__name__, f"{name or cls.__name__}(...)")

    return check


def _check_any(checks: Sequence[Check], value: Any) -> None:
    for check in checks[:-1]:
        try:
            return check(value)
        except Misfit:
            continue
    return checks[-1](value)


def _check_class(value: Any, cls: type) -> None:
    if not isinstance(value, cls):
        raise _wrong(value, cls.__name__, f"{cls.__name__}(...)")
    of_value: Any = type(value)
    added = names_of(of_value) - names_of(cls)
    if added:
        raise Misfit(
            f"is an instance of {_class(value)}, with {_listed('field', added)} that "
            f"{cls.__name__} doesn't have",
            f"{cls.__name__}(...)",
            _class(value),
        )


def _check_strays(value: Any) -> None:
    cls: Any = type(value)
    if keeps_strays(cls) and (found := strays_in(value)):
        raise Misfit(
            f"has {_listed('attribute', found)}, and {cls.__name__} has no such field: make it "
            "one, or begin its name with an underscore, so that it isn't sent"
        )


def _check_keys(value: Any, types: Mapping[str, Any], required: Collection[str], name: str) -> None:
    if added := value.keys() - types.keys():
        raise Misfit(f"has {_listed('key', added)} that {name} doesn't have: leave it out")
    if missing := required - value.keys():
        raise Misfit(f"doesn't have {_listed('key', missing)} of {name}")


def _listed(what: str, names: Iterable[Any]) -> str:
    first, *others = sorted(map(excerpt, names))
    return f"the {what}{'s' if others else ''} {', '.join([first, *others])}"


def _wrong(value: Any, name: str, expected: str = "") -> Misfit:
    shown = "None" if value is None else f"an instance of {_class(value)}"
    return Misfit(f"is {shown}, but {name} is annotated", expected)


def _class(value: Any) -> str:
    return type(value).__name__
