"""
Parameters that a handler or factory takes from the request.

:func:`param_spec` is called at registration, once for each parameter, and refuses what can't
work. The functions in :mod:`.readers` then read the values from requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NoReturn, get_args, get_origin

from attrs import evolve, frozen

from triows._annotations import described, type_name, unnamed
from triows._pydantic import mentions_model
from triows.exceptions import HandlerSignatureError
from triows.types import ParamMark

from .blanks import ticked, without_blanks
from .conversion import (
    Shape,
    annotated,
    converter,
    decoded,
    is_collection,
    shape,
    unchanged,
    wire_type,
)
from .defaults import UncopyableDefault, default_maker, is_immutable
from .files import file_reader, is_file
from .packs import (
    PackField,
    UnreadableField,
    has_fields,
    is_closed,
    is_made_from,
    is_pack,
    model_converter,
    pack_fields,
    unwrapped,
)
from .parameter import MADE_ANEW, MISSING, Parameter
from .pathkeys import PathKey, can_fill, key_for, type_for
from .plain import PlainText
from .readers import ParamSpec, Reader, omitted, pack_reader, text_reader
from .sources import FORM, PATH, QUERY, SOURCES, Source, UnusableName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import msgspec

    from .blanks import Filled
    from .kinds import RouteKind

__all__ = ["is_readable", "param_spec"]


_NO_MARK = ParamMark(source=None, alias=None, decoder=None, constraint=None)


def is_readable(annotation: Any) -> bool:
    """
    Say whether a parameter of this type can be read from a request without a mark.

    It can if its value is made from one text, or is a list, set or tuple of such values. Any other
    parameter needs a factory, or a ``Param`` that says how to read it.
    """
    try:
        return shape(wire_type(annotation)) is not None
    except TypeError:
        # There is a Param inside the type, so it was meant to be read. param_spec() refuses that.
        return True


def param_spec(
    name: str,
    annotation: Any,
    default: Any,
    *,
    mark: ParamMark | None,
    path_keys: Mapping[str, PathKey],
    kind: RouteKind,
    where: str,
) -> ParamSpec:
    """
    Decide where a parameter comes from and how it is read.

    If the mark has a source, that decides. If the path template has the parameter's name or alias,
    it comes from the path. Otherwise it comes from the query.

    Args:
        name: The parameter's name.
        annotation: Its type, evaluated, without our marks.
        default: Its default, or :data:`MISSING`. It is not checked against the type. If it
            can be changed, it is copied each time.
        mark: What ``Param`` says about it, if anything.
        path_keys: The keys in the route's path template, by name.
        kind: The kind of the route.
        where: ``file:line (name)`` of the function that wants it.

    Raises:
        HandlerSignatureError: The parameter can't be read, or not from there.
    """
    site = _Site(f"parameter `{name}`", where, kind)
    mark = mark or _NO_MARK
    source, alias = _placed(name, annotation, mark, path_keys, site)
    if source.no_default and default is not MISSING:
        site.refuse(source.no_default)
    key = path_keys[alias] if source is PATH else None
    return _Draft(name, annotation, default, mark, source, alias, site, path_key=key).spec()


@frozen
class _Site:
    """The parameter that an error at registration is about."""

    label: str
    where: str
    kind: RouteKind

    def refuse(self, problem: str) -> NoReturn:
        raise HandlerSignatureError(f"{self.label}: {problem}", self.where)

    def part(self, name: str) -> _Site:
        return evolve(self, label=f"{self.label}, field `{name}`")


def _placed(
    name: str, annotation: Any, mark: ParamMark, path_keys: Mapping[str, PathKey], site: _Site
) -> tuple[Source, str]:
    """Decide the source and the name on the wire."""
    # The alias comes first, because it says what the template calls the parameter.
    in_path = next((key for key in (mark.alias, name) if key in path_keys), None)
    if mark.source == PATH.name and in_path is None:
        keys = ", ".join(f"{{{key}}}" for key in path_keys) or "none"
        site.refuse(
            f'Param("path") reads {{{mark.alias or name}}}, which the path does not have (it '
            f"has: {keys}): add it to the path, give the name that the path has with alias=, or "
            'read it from elsewhere, as in Param("query")'
        )
    if in_path is not None and mark.source in (None, PATH.name):
        if mark.alias not in (None, in_path):
            site.refuse(
                f"its alias is {mark.alias!r}, and the path has {{{in_path}}}: leave alias= out, "
                f"or write {{{mark.alias}}} in the path"
            )
        return PATH, in_path
    if mark.source == FORM.name and site.kind.body is None:
        site.refuse(f'{site.kind.no_body} for Param("form") to read')
    default = FORM if is_file(annotation, site.kind) else QUERY
    source = default if mark.source is None else SOURCES[mark.source]
    return source, _alias(name, mark.alias, source, site)


def _alias(name: str, alias: str | None, source: Source, site: _Site) -> str:
    if alias == "":
        site.refuse("its alias is empty: give a name, or leave alias= out")
    try:
        return source.named(name, alias)
    except UnusableName as exc:
        site.refuse(str(exc))


@frozen
class _Draft:
    """A parameter, or a field of a pack, whose place is known and whose type isn't checked."""

    name: str
    annotation: Any
    default: Any
    mark: ParamMark
    source: Source
    alias: str
    site: _Site
    path_key: PathKey | None = None
    #: The field of a pack that it is, if it is one.
    field: PackField | None = None

    def spec(self) -> ParamSpec:
        if self.mark.decoder is not None:
            return self._decoded(self.mark.decoder)
        if is_pack(unwrapped(self.annotation)):
            return self._pack()
        if is_file(self.annotation, self.site.kind):
            return self._file()
        return self._value()

    # A decoder takes precedence over the type, because it may make any value.
    def _decoded(self, decoder: Callable[[str], Any]) -> ParamSpec:
        if self.mark.constraint is not None:
            self.site.refuse("its decoder replaces the constraints too: check them in the decoder")
        try:
            convert = decoded(decoder)
        except TypeError as exc:
            self.site.refuse(str(exc))
        return self._text_spec(self.annotation, "text", convert, ())

    def _file(self) -> ParamSpec:
        if self.source is not FORM:
            self.site.refuse(
                f"a {self._named} is part of a form, and a {self.source.name} has none: take the "
                "source out of Param()"
            )
        if self.mark.constraint is not None:
            self.site.refuse(
                "Param() has no constraints for files. The route limits a form, with "
                "Route(path, limits=Limits(body=..., parts=...)); check the rest in the handler"
            )
        many = get_origin(unwrapped(self.annotation)) is list
        read = file_reader(self.alias, many=many, default=self._default())
        return self._spec(self.annotation, read, ())

    def _value(self) -> ParamSpec:
        # Put Param's constraint around the others. msgspec merges them.
        constrained = annotated(self.annotation, self.mark.constraint)
        try:
            wire = wire_type(constrained)
        except TypeError as exc:
            self.site.refuse(str(exc))
        kind, convert = self._converted(wire)
        if kind == "texts" and self.source.joined is None:
            elsewhere = self.source.instead_of_list.format(alias=self.alias)
            self.site.refuse(
                f"a {self.source.name} holds one value, not a {self._named}: split the text with "
                f"Param(decoder=...), or {elsewhere}"
            )
        if self.path_key is not None and not can_fill(self.path_key, wire):
            self._refuse_path_key(self.path_key, wire)
        # If pydantic reads it, keep its metadata, so that it isn't taken for the same as another
        # parameter of that name.
        type_ = self.annotation if mentions_model(self.annotation) else constrained
        constraints = get_args(wire)[1:] if get_origin(wire) is Annotated else ()
        if not self.source.has_blanks:
            return self._text_spec(type_, kind, convert, constraints)
        return self._text_spec(
            type_, kind, ticked(wire, convert), constraints, without_blanks(wire)
        )

    def _converted(self, wire: Any) -> tuple[Shape, Callable[[Any], Any]]:
        if self.field is not None and self.field.is_text:
            return self._raw(wire), unchanged
        if mentions_model(self.annotation):
            return self._raw(wire), model_converter(self.annotation)
        kind = shape(wire)
        if kind is None:
            self._refuse_type(wire)
        try:
            return kind, converter(wire)
        except (TypeError, ValueError, ArithmeticError) as exc:
            self._refuse_conversion(exc)

    def _raw(self, wire: Any) -> Shape:
        """Say what a value is made from, if pydantic makes it."""
        if self.mark.constraint is not None:
            self.site.refuse(
                "pydantic converts it, and doesn't know the constraints of Param(): give them to "
                "pydantic.Field()"
            )
        if any(map(has_fields, get_args(wire))):
            self._refuse_type(wire)
        return "texts" if is_collection(wire) else "text"

    def _text_spec(
        self,
        type_: Any,
        kind: Shape,
        convert: Callable[[Any], Any],
        constraints: tuple[msgspec.Meta, ...],
        filled: Filled | None = None,
    ) -> ParamSpec:
        default = self._default()
        read = text_reader(self.source, self.alias, kind, convert, default, filled)
        spec = evolve(self._spec(type_, read, constraints), filled=filled)
        if kind == "text" and self.source in (PATH, QUERY) and default is not omitted:
            is_path = self.source is PATH
            return evolve(spec, plain=PlainText(is_path, self.alias, convert, default))
        return spec

    def _default(self) -> Callable[[], Any] | None:
        if self.default is MISSING:
            return None
        # A class fills in what can't be changed, or what it makes anew for each object.
        if self.field is not None and (self.default is MADE_ANEW or is_immutable(self.default)):
            return omitted
        try:
            return default_maker(self.default)
        except UncopyableDefault as exc:
            self.site.refuse(
                f"its default can be changed, so each {self.site.kind.noun} needs a copy of its "
                f"own, and it can't be copied ({exc}): let a factory make it, with "
                f"`{self.name}: Annotated[..., use(factory)]`, or make the default None"
            )

    def _pack(self) -> ParamSpec:
        # Without an explicit source, it is probably meant as a body, or its factory was forgotten.
        # Nobody expects that it takes over the query.
        if self.mark.source is None or not self.source.packs:
            self._refuse_structure()
        if self.mark.alias is not None or self.mark.constraint is not None:
            self.site.refuse(
                f"each field of {self._named} is read under its own name: give alias= and "
                "constraints to the fields instead, as in `size: Annotated[int, Param(le=100)]`"
            )
        build = unwrapped(self.annotation)
        parts = tuple(part.spec() for part in _parts(self, build))
        if not is_made_from(build, [part.known.name for part in parts]):
            self.site.refuse(
                f"{self._named} can't be made from its fields, because its __init__ takes other "
                "arguments: use a class without InitVar and without an __init__ of its own, or a "
                "factory with use(...)"
            )
        closed = is_closed(build)
        if closed and not self.source.closed_packs:
            self.site.refuse(
                f"{self._named} forbids unknown names, and every client sends "
                f"{self.source.name}s that no handler asks for: allow them in its class, or read "
                "it from the query"
            )
        read = pack_reader(self.source, self.alias, build, parts, self._default())
        fields = tuple(part.known for part in parts)
        return self._spec(self.annotation, read, (), fields=fields, closed=closed)

    def _spec(
        self, type_: Any, read: Reader, constraints: tuple[msgspec.Meta, ...], **pack: Any
    ) -> ParamSpec:
        known = Parameter(
            name=self.name,
            source=self.source.name,
            alias=self.alias,
            type=type_,
            default=self.default,
            constraints=constraints,
            description=self._description(constraints),
            decoder=self.mark.decoder,
            **pack,
        )
        return ParamSpec(known, read)

    def _description(self, constraints: tuple[msgspec.Meta, ...]) -> str:
        """Find the description in a field's class, or in the metadata of msgspec or pydantic."""
        own = "" if self.field is None else self.field.description
        texts = (own, described(self.annotation), *map(_text_of, constraints))
        return next(filter(None, texts), "")

    @property
    def _named(self) -> str:
        return type_name(self.annotation)

    def _refuse_path_key(self, key: PathKey, wire: Any) -> NoReturn:
        self.site.refuse(
            f"{{{self.alias}:{key.converter_name}}} in the path matches nothing that can be made a "
            f"{self._named}: write {key_for(self.alias, wire)} there, or annotate the parameter "
            f"`{self.name}: {type_name(type_for(key))}`"
        )

    def _refuse_type(self, wire: Any) -> NoReturn:
        if has_fields(wire):
            self._refuse_structure()
        if self.source is FORM and set(_BYTES) & {wire, *get_args(wire)}:
            self._refuse_content(wire)
        if wire in _BYTES:
            self.site.refuse(
                f"there are several ways to make {self._named} of a text: say which with "
                "Param(decoder=...), for example decoder=str.encode or decoder=base64.b64decode"
            )
        self.site.refuse(
            f"{self._named} can't be read from text: use another type, say how to read it with "
            "Param(decoder=...), or let a factory make it with use(...)"
        )

    def _refuse_content(self, wire: Any) -> NoReturn:
        """Refuse the bytes of a field, which are probably those of a file."""
        file = "UploadFile" if wire in _BYTES else "list[UploadFile]"
        read = f"{self.name}.read()" if wire in _BYTES else "file.read()"
        self.site.refuse(
            f"{self._named} can't be read from a form, whose fields are texts or files: for a "
            f"file, write `{self.name}: {file}` and `await {read}`. For a text, say how to read it "
            "with Param(decoder=...), for example decoder=str.encode or decoder=base64.b64decode"
        )

    def _refuse_structure(self) -> NoReturn:
        named = self._named
        if not is_pack(unwrapped(self.annotation)):
            self.site.refuse(
                f"{self.site.kind.no_body} to make a {named} from: make it a "
                "msgspec.Struct, a dataclass, an attrs class or a pydantic model and mark it "
                "Param('query') to read its fields from the query, or let a factory make it with "
                "use(...)"
            )
        self.site.refuse(
            f"{self.site.kind.no_body} to make a {named} from: mark it "
            f"Annotated[{named}, Param('query')] to read its fields from the query, or let a "
            "factory make it with use(...)"
        )

    def _refuse_conversion(self, exc: Exception) -> NoReturn:
        # At the end, msgspec repeats the whole type with its modules. Leave that out.
        reason = str(exc).partition(" - type ")[0]
        self.site.refuse(
            f"{self._named} can't be read from text: {reason}. Change the type or its "
            "constraints, or say how to read it with Param(decoder=...)"
        )


_BYTES = (bytes, bytearray, memoryview)


def _text_of(meta: msgspec.Meta) -> str:
    return meta.description or ""


def _parts(pack: _Draft, build: Any) -> list[_Draft]:
    """Turn the fields of a pack into parameters."""
    try:
        fields = pack_fields(build)
    except UnreadableField as exc:
        pack.site.refuse(f"{type_name(build)} can't be read from a request: {exc}")
    except (NameError, TypeError, KeyError, AttributeError) as exc:
        # Pydantic adds a line with a link.
        reason = str(exc).partition("\n")[0]
        if isinstance(exc, KeyError):
            reason = f"{reason} has no annotation"
        pack.site.refuse(
            f"the fields of {type_name(build)} can't be read ({reason}): annotate each, with types "
            f"that are defined or imported at module level in {build.__module__} and not under "
            "TYPE_CHECKING; if the class isn't yours, ask for its fields one by one"
        )
    return [_part(pack, part) for part in fields]


def _part(pack: _Draft, part: PackField) -> _Draft:
    site = pack.site.part(part.name)
    annotation, mark = _split(part.type)
    if mark.source not in (None, pack.source.name):
        site.refuse(
            f"the other fields are read from the {pack.source.name}, so it can't come from the "
            f"{mark.source}: make it a parameter of its own"
        )
    # There are notations for nesting (a.b, a[b]), but each framework has another.
    if has_fields(annotation) and mark.decoder is None:
        site.refuse(
            f"a {pack.source.name} has no nesting, so a field can't be a {type_name(annotation)}: "
            "move its fields up, or say how to read it from one text with Param(decoder=...)"
        )
    # A name that was chosen for the wire is used as it is, even for a header.
    chosen = mark.alias or (part.wire if part.wire != part.name else None)
    alias = _alias(part.wire, chosen, pack.source, site)
    return _Draft(
        part.argument, annotation, part.default, mark, pack.source, alias, site, field=part
    )


def _split(annotation: Any) -> tuple[Any, ParamMark]:
    """Take the ``Param`` out of a field's annotation."""
    annotation = unnamed(annotation)
    if get_origin(annotation) is not Annotated:
        return annotation, _NO_MARK
    inner, *marks = get_args(annotation)
    # What is inside may be a name for another Annotated. The outermost Param counts.
    inner, mark = _split(inner)
    mark = next((mark for mark in reversed(marks) if isinstance(mark, ParamMark)), mark)
    return annotated(inner, *marks), mark
