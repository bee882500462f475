"""
Parameters: what a handler or factory wants from the request, and reading it.

:func:`param_spec` is called at registration, once for each parameter, and refuses what
can't work. :func:`read_params` is called for each handshake and inspects nothing: every
:class:`ParamSpec` holds a function that was put together for it.
"""

from __future__ import annotations

import copy
import enum
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, NoReturn, TypeAlias, get_args, get_origin

from attrs import field, frozen

from triows.exceptions import HandlerSignatureError
from triows.types import ParamMark, ParamSource

from .conversion import (
    annotated,
    converter,
    decoded,
    error_text,
    shape,
    type_name,
    wire_type,
)
from .packs import PackField, has_fields, is_made_from, is_pack, pack_fields, unwrapped
from .query import BadValue, ParamError, RequestData

__all__ = [
    "MISSING",
    "Missing",
    "ParamError",
    "ParamSpec",
    "RequestData",
    "has_fields",
    "is_readable",
    "param_spec",
    "read_params",
    "type_name",
]


class Missing(enum.Enum):
    """The type of :data:`MISSING`."""

    MISSING = "MISSING"


class _Outcome(enum.Enum):
    """What a reader gives in place of a value."""

    #: There are errors. They have been reported.
    FAILED = "FAILED"
    #: Nothing was given, and the field's class has a default of its own.
    OMITTED = "OMITTED"


#: The default of a parameter that has none.
MISSING: Final = Missing.MISSING
_FAILED: Final = _Outcome.FAILED
_OMITTED: Final = _Outcome.OMITTED

_Reader: TypeAlias = Callable[[RequestData, list[ParamError]], Any]
_NO_MARK = ParamMark(source=None, alias=None, decoder=None, constraint=None)

# RFC 9110 section 5.1: a field name is a token.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _by_value(default: Any) -> Any:
    """Compare plain values by what they are. Others may answer ``==`` with anything."""
    plain = isinstance(default, (str, int, float, enum.Enum))
    return (type(default), default) if plain else id(default)


@frozen
class ParamSpec:
    """
    One parameter of a handler or factory, ready to be read.

    Two that ask for the same thing are equal, so that it is read once for both.

    Args:
        name: The parameter's name in Python.
        source: Where it is read from.
        alias: Its name on the wire; of a header in lower case.
        type: Its annotation with the constraints, those of ``Param`` among them.
        default: What it is when the request does not have it, or :data:`MISSING`.
        type_name: The type as a person writes it.
        decoder: The application's function that replaces the conversion by type.
        fields: The parameters that a pack is built from; of no other type.
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
    read: _Reader = field(eq=False, repr=False)

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

    If there are any parameters at all, a query that can't be decoded is an error even when
    none of them is read from it: a request that two parties may read differently is not
    one to act on.

    Args:
        specs: All the parameters of a handler and its factories.
        data: The request.

    Returns:
        The values in the order of ``specs``, and everything that is wrong with them. If
        there are errors the values are not to be used.

    Raises:
        Exception: Whatever a decoder, or a pack's own checks, raise that is neither a
            :exc:`ValueError` nor a :exc:`TypeError`: a mistake in the application.
    """
    if not specs:
        return [], []
    errors = list(data.query.errors)
    values = [spec.read(data, errors) for spec in specs]
    # A handler and its factory may both want what is wrong; once is enough.
    return values, list(dict.fromkeys(errors)) if errors else errors


# At registration: what is asked for, and whether it can be had.


def is_readable(annotation: Any) -> bool:
    """
    Say whether a parameter of this type can be read from a request without a mark.

    It can if its value is made from one text, or is a list, set or tuple of such. What
    can't needs a factory, or a ``Param`` that says how to read it.
    """
    try:
        return shape(wire_type(annotation)) is not None
    except TypeError:
        # A Param inside the type. It was meant to be read; param_spec says what is wrong.
        return True


def param_spec(
    name: str,
    annotation: Any,
    default: Any,
    *,
    mark: ParamMark | None,
    path_keys: Collection[str],
    where: str,
) -> ParamSpec:
    """
    Decide where a parameter comes from and how it is read.

    The mark's source is taken if it has one; else the path, if the template has the name
    or the alias; else the query.

    Args:
        name: The parameter's name.
        annotation: Its type, evaluated, without our marks.
        default: Its default, or :data:`MISSING`. It is not checked against the type. A
            list, set or dict is copied for each connection.
        mark: What ``Param`` says about it, if anything.
        path_keys: The names in the route's path template.
        where: ``file:line (name)`` of the function that wants it.

    Raises:
        HandlerSignatureError: The parameter can't be read, or not from there.
    """
    site = _Site(f"parameter `{name}`", where)
    mark = mark or _NO_MARK
    source, alias = _placed(name, mark, path_keys, site)
    if source == "path" and default is not MISSING:
        site.refuse(
            "it is part of the path, which does not match without it, so its default would "
            "never be used: take it out"
        )
    return _Draft(name, annotation, default, mark, source, alias, site).spec()


@frozen
class _Site:
    """What an error at registration is about."""

    label: str
    where: str

    def refuse(self, problem: str) -> NoReturn:
        raise HandlerSignatureError(f"{self.label}: {problem}", self.where)

    def part(self, name: str) -> _Site:
        return _Site(f"{self.label}, field `{name}`", self.where)


def _placed(
    name: str, mark: ParamMark, path_keys: Collection[str], site: _Site
) -> tuple[ParamSource, str]:
    """Decide the source and the name on the wire."""
    # The alias first: who gives one says what the template calls it.
    in_path = next((key for key in (mark.alias, name) if key in path_keys), None)
    if mark.source == "path" and in_path is None:
        keys = ", ".join(f"{{{key}}}" for key in path_keys) or "none"
        site.refuse(
            f'Param("path") reads {{{mark.alias or name}}}, which the path does not have (it '
            f"has: {keys}): put it there, or say alias= or another source"
        )
    if in_path is not None and mark.source in (None, "path"):
        return "path", in_path
    source: ParamSource = mark.source or "query"
    return source, _alias(name, mark.alias, source, site)


def _alias(name: str, alias: str | None, source: ParamSource, site: _Site) -> str:
    if alias == "":
        site.refuse("its alias is empty: give a name, or leave alias= out")
    if source != "header":
        return alias or name
    # Hyphens are what headers are written with, and some proxies drop underscores.
    header = alias or name.replace("_", "-")
    if not _HEADER_NAME.fullmatch(header):
        site.refuse(f"{header!r} is no header's name: say alias= with letters, digits and hyphens")
    return header.lower()


@frozen
class _Draft:
    """A parameter or a field of a pack, its place decided and its type not yet looked at."""

    name: str
    annotation: Any
    default: Any
    mark: ParamMark
    source: ParamSource
    alias: str
    site: _Site

    def spec(self) -> ParamSpec:
        if self.mark.decoder is not None:
            return self._decoded(self.mark.decoder)
        if is_pack(unwrapped(self.annotation)):
            return self._pack()
        return self._value()

    # A decoder comes before the type: it may make what no conversion knows.
    def _decoded(self, decoder: Callable[[str], Any]) -> ParamSpec:
        if self.mark.constraint is not None:
            self.site.refuse("its decoder replaces the constraints too: check them in the decoder")
        return self._spec(self.annotation, _text_reader(self, "text", decoded(decoder)))

    def _value(self) -> ParamSpec:
        # Param's constraint goes around the others; msgspec merges them.
        constrained = annotated(self.annotation, self.mark.constraint)
        try:
            wire = wire_type(constrained)
            kind = shape(wire)
            if kind is None:
                self._refuse_type(wire)
            convert = converter(wire)
        except (TypeError, ValueError, ArithmeticError) as exc:
            self._refuse_conversion(exc)
        if kind == "texts" and self.source in ("path", "cookie"):
            self.site.refuse(
                f"a {self.source} holds one value, not a {self._named}: read a str and split it "
                'with decoder=, or take it from the query with Param("query")'
            )
        return self._spec(constrained, _text_reader(self, kind, convert))

    def _pack(self) -> ParamSpec:
        # Without a source in so many words it is more likely meant as a body, or for a
        # factory that was forgotten, than to take over the query.
        if self.mark.source is None or self.source == "path":
            self._refuse_structure()
        if self.mark.alias is not None or self.mark.constraint is not None:
            self.site.refuse(
                f"each field of {self._named} is read under its own name, so alias= and "
                "constraints belong to the fields"
            )
        build = unwrapped(self.annotation)
        parts = tuple(part.spec() for part in _parts(self, build))
        if not is_made_from(build, [part.name for part in parts]):
            self.site.refuse(
                f"{self._named} is not made from its fields (its __init__ takes others): use a "
                "class without InitVar and __init__, or a factory with use(...)"
            )
        return self._spec(self.annotation, _pack_reader(self, build, parts), parts)

    def _spec(self, type_: Any, read: _Reader, fields: tuple[ParamSpec, ...] = ()) -> ParamSpec:
        return ParamSpec(
            name=self.name,
            source=self.source,
            alias=self.alias,
            type=type_,
            default=self.default,
            type_name=self._named,
            decoder=self.mark.decoder,
            fields=fields,
            read=read,
        )

    @property
    def _named(self) -> str:
        return type_name(self.annotation)

    def _refuse_type(self, wire: Any) -> NoReturn:
        if has_fields(wire):
            self._refuse_structure()
        if wire in (bytes, bytearray, memoryview):
            self.site.refuse(
                f"text is no {self._named}, and there are several ways to make it so: take a str, "
                "or say which with Param(decoder=...), for example base64.b64decode"
            )
        self.site.refuse(
            f"{self._named} can't be read from text: use another type, give a function that reads "
            "it with Param(decoder=...), or a factory that makes it with use(...)"
        )

    def _refuse_structure(self) -> NoReturn:
        named = self._named
        if not is_pack(unwrapped(self.annotation)):
            self.site.refuse(
                f"a WebSocket handshake has no body to make a {named} from: make it a "
                "msgspec.Struct, a dataclass or an attrs class and mark it Param('query') to read "
                "its fields from the query, or give a factory with use(...)"
            )
        self.site.refuse(
            f"a WebSocket handshake has no body to make a {named} from: mark it "
            f"Annotated[{named}, Param('query')] to read its fields from the query, or give a "
            "factory with use(...)"
        )

    def _refuse_conversion(self, exc: Exception) -> NoReturn:
        # msgspec repeats the whole type at the end, modules and all.
        reason = str(exc).partition(" - type ")[0]
        self.site.refuse(
            f"{self._named} can't be read from text: {reason}. Change the type or its "
            "constraints, or give a function that reads it with Param(decoder=...)"
        )


def _parts(pack: _Draft, build: Any) -> list[_Draft]:
    """Turn the fields of a pack into parameters of their own."""
    try:
        fields = pack_fields(build)
    except (NameError, TypeError, KeyError, AttributeError) as exc:
        pack.site.refuse(
            f"the fields of {type_name(build)} can't be read ({exc}): annotate each with a type "
            "that is defined or imported at module level"
        )
    return [_part(pack, part) for part in fields]


def _part(pack: _Draft, part: PackField) -> _Draft:
    site = pack.site.part(part.name)
    annotation, mark = _split(part.type)
    if mark.source not in (None, pack.source):
        site.refuse(
            f"its pack is read from the {pack.source}, so it can't come from the {mark.source}: "
            "make it a parameter of its own"
        )
    # Notations for nesting (a.b, a[b]) exist, and no two frameworks agree on one.
    if has_fields(annotation) and mark.decoder is None:
        site.refuse(
            f"a {pack.source} is flat, and {type_name(annotation)} would be a pack inside a pack: "
            "bring its fields up, or give a decoder with Param(decoder=...)"
        )
    # A name that was chosen for the wire is taken as it is, also for a header.
    chosen = mark.alias or (part.wire if part.wire != part.name else None)
    alias = _alias(part.wire, chosen, pack.source, site)
    default = MISSING if part.required else _OMITTED
    return _Draft(part.argument, annotation, default, mark, pack.source, alias, site)


def _split(annotation: Any) -> tuple[Any, ParamMark]:
    """Take the ``Param`` out of a field's annotation."""
    if get_origin(annotation) is not Annotated:
        return annotation, _NO_MARK
    inner, *marks = get_args(annotation)
    mark = next((mark for mark in marks if isinstance(mark, ParamMark)), _NO_MARK)
    return annotated(inner, *marks), mark


# At run time. What follows is put together once and called for each handshake.


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
    # Which of them counts is a matter on which proxies and servers differ, and attacks
    # are built on the difference (HTTP parameter pollution).
    if len(values) != 1:
        raise BadValue(f"Given {len(values)} times, expected once")
    return values[0]


def _text_reader(
    param: _Draft, kind: Literal["text", "texts"], convert: Callable[[Any], Any]
) -> _Reader:
    """Make the reader of a parameter that is converted from one text, or a list of them."""
    source, alias = param.source, param.alias
    table = _TABLES[source]
    join: Callable[[list[str]], str] | None = None
    if kind == "text" and source == "query":
        join = _one_value
    elif kind == "text" and source == "header":
        # RFC 9110 section 5.3: lines of one name are one value, in order, with commas.
        join = ", ".join
    absent = _absent(param)

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


def _absent(param: _Draft) -> _Reader:
    """Make the reader for a request that does not have the parameter."""
    source, alias = param.source, param.alias
    default = _default(param.default)

    def absent(data: RequestData, errors: list[ParamError]) -> Any:
        # It was there, or may have been; the query's own error has been reported.
        if source == "query" and data.query.hides(alias):
            return _FAILED
        if default is None:
            errors.append(ParamError(source, alias, "Missing required parameter"))
            return _FAILED
        return default()

    return absent


def _default(default: Any) -> Callable[[], Any] | None:
    if default is MISSING:
        return None
    # Else what one connection puts in, the next one finds there.
    if isinstance(default, (list, set, dict)):
        return lambda: copy.copy(default)
    return lambda: default


def _pack_reader(param: _Draft, build: Any, parts: Sequence[ParamSpec]) -> _Reader:
    """Make the reader of a class whose fields are parameters."""
    source, alias = param.source, param.alias
    table = _TABLES[source]
    default = _default(param.default)
    wire_names = [part.alias for part in parts]
    readers = [(part.name, part.read) for part in parts]

    def read(data: RequestData, errors: list[ParamError]) -> Any:
        if default is not None and table(data).keys().isdisjoint(wire_names):
            return default()
        # All of them, also after one failed: every error is reported.
        values = {name: read_part(data, errors) for name, read_part in readers}
        if any(value is _FAILED for value in values.values()):
            return _FAILED
        given = {name: value for name, value in values.items() if value is not _OMITTED}
        try:
            return build(**given)
        except (ValueError, TypeError) as exc:
            errors.append(ParamError(source, alias, error_text(exc)))
            return _FAILED

    return read
