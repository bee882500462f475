"""
Shapes: of which classes the parts of a value must be, so that nothing else is written.

A type comes in. A :class:`Shape` comes out, which checks every place where the type expects an
object with fields: in lists, dicts and unions, and in the fields of other objects. Where it expects
a number, a text or anything else that is plain, nothing is checked, because that would take longer
than writing it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain, count, repeat
from operator import attrgetter, countOf, itemgetter
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

# What can be around the type of a field, apart from Annotated. They are recognized by their
# names, because older versions of Python have them in typing_extensions.
_QUALIFIERS = ("Final", "NotRequired", "ReadOnly", "Required")

_MISSING: Any = object()

Check: TypeAlias = Callable[[Any], None]
Fit: TypeAlias = Callable[[Collection[Any]], bool]


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
        fit: Says whether many values are what they must be, in a few calls for all of them. If it
            can't say that quickly, it is false, and each of them has to be checked.
        exact: An instance of this very class needs no check. ``None`` if there is no such class.
    """

    check: Check
    fit: Fit
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
            return Shape(_instances_of(cls), partial(_all_of, cls), exact=cls)
        names = names_of(cls)
        # Pydantic looks into its models itself.
        types = {} if is_model(cls) else _types_of(type_)
        inner = self._fields({name: type_ for name, type_ in types.items() if name in names})
        columns = [(attrgetter(name), shape.fit) for name, shape in inner]
        has_strays = keeps_strays(cls)

        def check(value: Any) -> None:
            if type(value) is not cls:
                _check_class(value, cls)
            _check_strays(value)
            _check_fields((name, shape, getattr(value, name, _MISSING)) for name, shape in inner)

        def fit(values: Collection[Any]) -> bool:
            return not has_strays and _all_are(cls, values) and _fit_columns(columns, values)

        if inner or has_strays:
            return Shape(check, fit)
        return Shape(check, partial(_all_are, cls), exact=cls)

    def _typed_dict(self, type_: Any, cls: Any) -> Shape:
        if self.is_cut:
            return Shape(_instances_of(dict, type_name(type_)), partial(_all_of, dict))
        types = _types_of(type_)
        inner = self._fields(types)
        columns = [(itemgetter(name), shape.fit) for name, shape in inner]
        # Where annotations are strings, Python doesn't see NotRequired.
        optional = {name for name, one in types.items() if get_origin(one) is NotRequired}
        required = cls.__required_keys__ - optional

        def check(value: Any) -> None:
            if not isinstance(value, dict):
                raise _wrong(value, type_name(type_))
            if value.keys() != types.keys():
                _check_keys(value, types, required, type_name(type_))
            _check_fields(
                (f"[{name!r}]", shape, value.get(name, _MISSING)) for name, shape in inner
            )

        def fit(values: Collection[Any]) -> bool:
            return (
                _all_are(dict, values)
                and countOf(map(len, values), len(types)) == len(values)
                and set().union(*values) <= types.keys()
                and _fit_columns(columns, values)
            )

        return Shape(check, fit)

    def _fields(self, types: Mapping[str, Any]) -> list[tuple[str, Shape]]:
        """List the fields that can hold an object with fields."""
        shapes = [(name, self.shape(type_)) for name, type_ in types.items()]
        return [(name, shape) for name, shape in shapes if shape is not None]

    def _union(self, type_: Any, args: tuple[Any, ...]) -> Shape | None:
        members = [(classes_of(_bare(one)), self.shape(one)) for one in args]
        if all(shape is None for _, shape in members) or ((object,), None) in members:
            return None
        shapes = [(classes, shape or _ANYTHING) for classes, shape in members]
        exactly: dict[type, list[Shape]] = {}
        for classes, shape in shapes:
            for cls in classes:
                exactly.setdefault(cls, []).append(shape)

        def check(value: Any) -> None:
            found = exactly.get(type(value)) or [
                shape for classes, shape in shapes if isinstance(value, classes)
            ]
            if not found:
                raise _wrong(value, type_name(type_))
            _check_any(found, value)

        def fit(values: Collection[Any]) -> bool:
            for cls in set(map(type, values)):
                found = exactly.get(cls, ())
                if len(found) != 1:
                    return False
                if found[0] is not _ANYTHING and not found[0].fit(
                    [one for one in values if type(one) is cls]
                ):
                    return False
            return True

        exact = next((shape.exact for _, shape in shapes if shape.exact), None)
        return Shape(check, fit, exact)

    def _tuple(self, type_: Any, args: tuple[Any, ...]) -> Shape | None:
        shapes = [self.shape(one) or _ANYTHING for one in args]
        if all(one is _ANYTHING for one in shapes):
            return None

        def check(value: Any) -> None:
            if not isinstance(value, tuple):
                raise _wrong(value, type_name(type_))
            if len(value) != len(shapes):
                raise Misfit(f"has {len(value)} items, but {type_name(type_)} is annotated")
            _check_parts(count(), value, shapes)

        def fit(values: Collection[Any]) -> bool:
            if not _all_of(tuple, values) or countOf(map(len, values), len(shapes)) != len(values):
                return False
            columns = zip(*values, strict=True)
            return all(shape.fit(one) for shape, one in zip(shapes, columns, strict=False))

        return Shape(check, fit)

    def _container(self, type_: Any, cls: type, part_type: Any, split: _Split) -> Shape | None:
        shape = self.shape(part_type)
        if shape is None:
            return None

        def check(value: Any) -> None:
            # An iterator isn't a collection: looking into it would empty it.
            if not (isinstance(value, cls) and isinstance(value, Collection)):
                raise _wrong(value, type_name(type_))
            _check_parts(*split(value), repeat(shape))

        def fit(values: Collection[Any]) -> bool:
            if not _all_are(cls, values) and not (
                _all_of(cls, values) and _all_of(Collection, values)
            ):
                return False
            inside = [split(one)[1] for one in values]
            return shape.fit(inside[0] if len(inside) == 1 else [*chain.from_iterable(inside)])

        return Shape(check, fit)


def _types_of(type_: Any) -> dict[str, Any]:
    try:
        return types_of(type_)
    except Exception as exc:  # whatever the annotations raise
        raise TypeError(
            f"nothing says how to write a {type_name(type_)}, because its annotations can't be "
            f"evaluated: {exc}. If the class is yours, define or import what they name at module "
            "level, not under TYPE_CHECKING. Otherwise return something else"
        ) from exc


def _later(making: list[Shape]) -> Shape:
    def check(value: Any) -> None:
        making[0].check(value)

    def fit(values: Collection[Any]) -> bool:
        return not values or making[0].fit(values)

    return Shape(check, fit)


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


# Checks, and quick answers for many values.


_ANYTHING = Shape(lambda value: None, lambda values: True)


def _instances_of(cls: type, name: str = "") -> Check:
    def check(value: Any) -> None:
        if not isinstance(value, cls):
            raise _wrong(value, name or cls.__name__, f"{name or cls.__name__}(...)")

    return check


def _all_are(cls: type, values: Collection[Any]) -> bool:
    # Nothing else in Python finds this out as fast.
    return countOf(map(type, values), cls) == len(values)


def _all_of(cls: type, values: Collection[Any]) -> bool:
    return all(issubclass(one, cls) for one in set(map(type, values)))


def _fit_columns(columns: Sequence[tuple[Callable[[Any], Any], Fit]], values: Any) -> bool:
    """Ask the same field of all values at once."""
    try:
        for get, fit in columns:
            if not fit([*map(get, values)]):
                return False
    except AttributeError:  # a field has no value
        return False
    return True


def _check_fields(fields: Iterable[tuple[str, Shape, Any]]) -> None:
    for step, shape, part in fields:
        if type(part) is not shape.exact and part is not _MISSING:
            try:
                shape.check(part)
            except Misfit as exc:
                exc.add_step(step if step.startswith("[") else f".{step}")
                raise


def _check_parts(keys: Iterable[Any], parts: Iterable[Any], shapes: Iterable[Shape]) -> None:
    for key, part, shape in zip(keys, parts, shapes, strict=False):
        if type(part) is not shape.exact:
            try:
                shape.check(part)
            except Misfit as exc:
                exc.add_step(f"[{excerpt(key)}]")
                raise


def _check_any(shapes: Sequence[Shape], value: Any) -> None:
    for shape in shapes[:-1]:
        try:
            return shape.check(value)
        except Misfit:
            continue
    return shapes[-1].check(value)


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
