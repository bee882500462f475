"""
Reads values from a request, with one function for each parameter, compiled at registration.

:func:`read_params` is called for each request. It inspects nothing, because every
:class:`ParamSpec` has its reader. If one reader reports an error, the others go on, so the peer
sees all errors at once.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import field, frozen

from triows._param_error import ParamError

from .packs import BadPack, pack_builder
from .query import BadValue, RequestData, excerpt
from .sources import SOURCES

if TYPE_CHECKING:
    from .blanks import Filled
    from .conversion import Shape
    from .parameter import Parameter
    from .plain import PlainText
    from .sources import Source

__all__ = [
    "FAILED",
    "ParamSpec",
    "Reader",
    "absent_reader",
    "omitted",
    "pack_reader",
    "read_form",
    "read_params",
    "text_reader",
]

Reader: TypeAlias = Callable[[RequestData, list[ParamError]], Any]


class _Unread(enum.Enum):
    """What a reader returns instead of a value."""

    #: There are errors. They have been reported.
    FAILED = "FAILED"
    #: Nothing was given, and the field's class has a default of its own.
    OMITTED = "OMITTED"


FAILED: Final = _Unread.FAILED
_OMITTED: Final = _Unread.OMITTED


def omitted() -> Any:
    """Make the default of a field that its class fills in."""
    return _OMITTED


@frozen
class ParamSpec:
    """
    A parameter, ready to be read.

    Args:
        known: What is known of it. If that is equal for two parameters, both are the same.
        read: The function that takes the value from a request and reports errors.
        plain: How it is read if nothing is unusual. ``None`` if there is no such way.
        filled: Leaves out the blank texts of a field of a form, if they don't count.
    """

    known: Parameter
    read: Reader = field(eq=False, repr=False)
    plain: PlainText | None = field(default=None, eq=False, repr=False)
    filled: Filled | None = field(default=None, eq=False, repr=False)


def read_params(
    specs: Sequence[ParamSpec], data: RequestData
) -> tuple[list[Any], list[ParamError]]:
    """
    Read parameters from the head of a request.

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
    return _read(specs, data, list(data.query.errors))


def read_form(specs: Sequence[ParamSpec], data: RequestData) -> tuple[list[Any], list[ParamError]]:
    """Read parameters from the form of a request. See :func:`read_params`."""
    return _read(specs, data, list(data.form.errors))


def _read(
    specs: Sequence[ParamSpec], data: RequestData, errors: list[ParamError]
) -> tuple[list[Any], list[ParamError]]:
    values = [spec.read(data, errors) for spec in specs]
    for spec in specs:
        if spec.known.closed:
            errors += _unknown(SOURCES[spec.known.source], specs, data)
    # Several may report the same, for example a handler and its factory that ask for the same
    # parameter. It is an error once.
    return values, list(dict.fromkeys(errors)) if errors else errors


def _unknown(source: Source, specs: Sequence[ParamSpec], data: RequestData) -> list[ParamError]:
    """Refuse the names in a source that neither a pack nor another parameter reads."""
    parameters = [part for spec in specs for part in spec.known.fields or (spec.known,)]
    known = {one.alias for one in parameters if one.source == source.name}
    return [
        ParamError(source.name, excerpt(name), "Unknown parameter")
        for name in source.values(data)
        if name not in known
    ]


def text_reader(
    source: Source,
    alias: str,
    kind: Shape,
    convert: Callable[[Any], Any],
    default: Callable[[], Any] | None,
    filled: Filled | None = None,
) -> Reader:
    """
    Make the reader of a parameter that is converted from one text, or from a list of them.

    Args:
        source: Where it is read from.
        alias: Its name there.
        kind: Whether it is made from one text, or from all texts that have the name.
        convert: Makes the value, or raises :exc:`BadValue`.
        default: Makes the value if the request doesn't have it. ``None`` if it is required.
        filled: Leaves out blank texts. If nothing is left, the request doesn't have it.
    """
    table = source.values
    join: Any = source.joined if kind == "text" else source.checked
    absent = absent_reader(source, alias, default)

    def read(data: RequestData, errors: list[ParamError]) -> Any:
        raw = table(data).get(alias)
        if filled is not None and raw is not None:
            raw = filled(raw) or None
        if raw is None:
            return absent(data, errors)
        try:
            return convert(raw if join is None else join(raw))
        except BadValue as exc:
            errors.append(ParamError(source.name, alias, str(exc)))
            return FAILED

    return read


def absent_reader(source: Source, alias: str, default: Callable[[], Any] | None) -> Reader:
    """Make the reader for a request that does not have the parameter."""
    hides = source.hides

    def absent(data: RequestData, errors: list[ParamError]) -> Any:
        # The parameter was there, or may have been. The source's own error is already reported.
        if hides(data, alias):
            return FAILED
        if default is None:
            errors.append(ParamError(source.name, alias, "Missing required parameter"))
            return FAILED
        return default()

    return absent


def pack_reader(
    source: Source,
    alias: str,
    pack: Any,
    parts: Sequence[ParamSpec],
    default: Callable[[], Any] | None,
) -> Reader:
    """
    Make the reader of a class whose fields are parameters.

    Args:
        source: Where the fields are read from.
        alias: The name in errors that are about the whole object.
        pack: The class.
        parts: The fields. Their names are those of the arguments.
        default: Makes the value if the request has none of its fields. ``None`` if the class
            itself makes it.
    """
    table = source.values
    build = pack_builder(pack)
    wire_names = {part.known.name: part.known.alias for part in parts}
    readers = [(part.known.name, part.read) for part in parts]

    def has_any(data: RequestData) -> bool:
        values = table(data)
        return any(
            part.known.alias in values
            and (part.filled is None or part.filled(values[part.known.alias]))
            for part in parts
        )

    def read(data: RequestData, errors: list[ParamError]) -> Any:
        if default is not None and not has_any(data):
            return default()
        # Read all of them, even after one has failed, so that every error is reported.
        values = {argument: read_part(data, errors) for argument, read_part in readers}
        if any(value is FAILED for value in values.values()):
            return FAILED
        given = {name: value for name, value in values.items() if value is not _OMITTED}
        try:
            return build(given)
        except BadPack as exc:
            for argument, text in exc.problems:
                name = alias if argument is None else wire_names.get(argument, alias)
                errors.append(ParamError(source.name, name, text))
            return FAILED

    return read
