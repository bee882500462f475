"""
Reads values from a request, with one function for each parameter, compiled at registration.

:func:`read_params` is called for each handshake. It inspects nothing, because every
:class:`ParamSpec` has its reader. If one reader reports an error, the others go on, so the peer
sees all errors at once.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import field, frozen

from .packs import BadPack, pack_builder
from .query import BadValue, ParamError, RequestData, printable

if TYPE_CHECKING:
    from triows.types import ParamSource

    from .conversion import Shape

__all__ = [
    "MISSING",
    "OMITTED",
    "Missing",
    "ParamSpec",
    "Reader",
    "pack_reader",
    "read_params",
    "text_reader",
]

Reader: TypeAlias = Callable[[RequestData, list[ParamError]], Any]


class Missing(enum.Enum):
    """The type of :data:`MISSING`."""

    MISSING = "MISSING"


#: The default of a parameter that has none.
MISSING: Final = Missing.MISSING


class _Outcome(enum.Enum):
    """What a reader returns instead of a value."""

    #: There are errors. They have been reported.
    FAILED = "FAILED"
    #: Nothing was given, and the field's class has a default of its own.
    OMITTED = "OMITTED"


_FAILED: Final = _Outcome.FAILED
#: The default of a field that its class fills in.
OMITTED: Final = _Outcome.OMITTED


def _by_value(default: Any) -> Any:
    """Compare plain values by value. Other objects may answer ``==`` with anything."""
    plain = isinstance(default, (str, int, float, enum.Enum))
    return (type(default), default) if plain else id(default)


@frozen
class ParamSpec:
    """
    One parameter of a handler or factory, ready to be read.

    Two parameters that ask for the same thing are equal, so it is read once for both.

    Args:
        name: The parameter's name in Python.
        source: Where it is read from.
        alias: Its name in the request. The name of a header is in lower case.
        type: Its annotation with all constraints, including those of ``Param``.
        default: Its value if the request doesn't have it, or :data:`MISSING`.
        type_name: The type as a person writes it.
        decoder: The application's function that replaces the conversion by type.
        fields: The parameters that a pack is built from. Empty for all other types.
        closed: Whether it is a pack that forbids names in the query that nothing reads.
        read: The function that takes the value from a request and reports errors.
    """

    name: str
    source: ParamSource
    alias: str
    type: Any = field(hash=False)
    default: Any = field(hash=False, eq=_by_value)
    type_name: str
    decoder: Callable[[str], Any] | None = field(hash=False, repr=False)
    fields: tuple[ParamSpec, ...] = field(repr=False)
    closed: bool = field(repr=False)
    read: Reader = field(eq=False, repr=False)

    @property
    def in_query(self) -> bool:
        """Whether it is read from the query."""
        return self.source == "query"

    @property
    def required(self) -> bool:
        """Whether a request without it is refused."""
        return self.default is MISSING and (
            not self.fields or any(part.required for part in self.fields)
        )


def read_params(
    specs: Sequence[ParamSpec], data: RequestData
) -> tuple[list[Any], list[ParamError]]:
    """
    Read parameters from a request.

    If there are any parameters at all, a query that can't be decoded is an error, even if no
    parameter is read from it. Two programs may read such a request differently, so it isn't safe
    to act on it.

    Args:
        specs: All the parameters of a handler and its factories.
        data: The request.

    Returns:
        The values in the order of ``specs``, and all errors. If there are errors, don't use the
        values.

    Raises:
        Exception: A decoder, or a pack's own check, raised something other than a
            :exc:`ValueError` or a :exc:`TypeError`. That is a mistake in the application.
    """
    if not specs:
        return [], []
    errors = list(data.query.errors)
    values = [spec.read(data, errors) for spec in specs]
    for spec in specs:
        if spec.closed:
            errors += _unknown(specs, data)
            break
    # A handler and its factory may ask for the same parameter. Its error is reported once.
    return values, list(dict.fromkeys(errors)) if errors else errors


def _unknown(specs: Sequence[ParamSpec], data: RequestData) -> list[ParamError]:
    """Refuse the names in the query that neither a pack nor another parameter reads."""
    known = {part.alias for spec in specs for part in spec.fields or (spec,) if part.in_query}
    return [
        ParamError("query", printable(name), "Unknown parameter")
        for name in data.query.values
        if name not in known
    ]


def _path(data: RequestData) -> Mapping[str, Any]:
    return data.path_params


def _query(data: RequestData) -> Mapping[str, Any]:
    return data.query.values


def _headers(data: RequestData) -> Mapping[str, Any]:
    return data.headers


def _cookies(data: RequestData) -> Mapping[str, Any]:
    return data.cookies


_TABLES: dict[ParamSource, Callable[[RequestData], Mapping[str, Any]]] = {
    "path": _path,
    "query": _query,
    "header": _headers,
    "cookie": _cookies,
}


def _one_value(values: list[str]) -> str:
    # Proxies and servers differ on which value counts, and attackers use the difference (HTTP
    # parameter pollution).
    if len(values) != 1:
        raise BadValue(f"Given {len(values)} times, expected once")
    return values[0]


def text_reader(
    source: ParamSource,
    alias: str,
    kind: Shape,
    convert: Callable[[Any], Any],
    default: Callable[[], Any] | None,
) -> Reader:
    """
    Make the reader of a parameter that is converted from one text, or from a list of them.

    Args:
        source: Where it is read from.
        alias: Its name there.
        kind: Whether it is made from one text, or from all texts that have the name.
        convert: Makes the value, or raises :exc:`BadValue`.
        default: Makes the value if the request doesn't have it. ``None`` if it is required.
    """
    table = _TABLES[source]
    join: Callable[[list[str]], str] | None = None
    if kind == "text" and source == "query":
        join = _one_value
    elif kind == "text" and source == "header":
        # RFC 9110 section 5.3: several lines of one name are one value, joined with commas.
        join = ", ".join
    absent = _absent(source, alias, default)

    def read(data: RequestData, errors: list[ParamError]) -> Any:
        raw = table(data).get(alias)
        if raw is None:
            return absent(data, errors)
        try:
            return convert(raw if join is None else join(raw))
        except BadValue as exc:
            errors.append(ParamError(source, alias, str(exc)))
            return _FAILED

    return read


def _absent(source: ParamSource, alias: str, default: Callable[[], Any] | None) -> Reader:
    """Make the reader for a request that does not have the parameter."""

    def absent(data: RequestData, errors: list[ParamError]) -> Any:
        # The parameter was there, or may have been. The query's own error is already reported.
        if source == "query" and data.query.hides(alias):
            return _FAILED
        if default is None:
            errors.append(ParamError(source, alias, "Missing required parameter"))
            return _FAILED
        return default()

    return absent


def pack_reader(
    source: ParamSource,
    alias: str,
    pack: Any,
    parts: Sequence[tuple[str, str, Reader]],
    default: Callable[[], Any] | None,
) -> Reader:
    """
    Make the reader of a class whose fields are parameters.

    Args:
        source: Where the fields are read from.
        alias: The name in errors that are about the whole object.
        pack: The class.
        parts: For each field, the name of its argument, its name in the source, and its reader.
        default: Makes the value if the request has none of its fields. ``None`` if the class
            itself makes it.
    """
    table = _TABLES[source]
    build = pack_builder(pack)
    wire_names = {argument: name for argument, name, _ in parts}
    readers = [(argument, read) for argument, _, read in parts]

    def read(data: RequestData, errors: list[ParamError]) -> Any:
        if default is not None and table(data).keys().isdisjoint(wire_names.values()):
            return default()
        # Read all of them, even after one has failed, so that every error is reported.
        values = {argument: read_part(data, errors) for argument, read_part in readers}
        if any(value is _FAILED for value in values.values()):
            return _FAILED
        given = {name: value for name, value in values.items() if value is not OMITTED}
        try:
            return build(given)
        except BadPack as exc:
            for argument, text in exc.problems:
                name = alias if argument is None else wire_names.get(argument, alias)
                errors.append(ParamError(source, name, text))
            return _FAILED

    return read
