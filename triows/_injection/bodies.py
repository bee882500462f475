"""
Parameters that are made from the body of a request.

A parameter comes in. What comes out says where in the body it is: the whole of it, a field of a
form, or nowhere. A WebSocket handshake has no body, and neither has a GET request; the kind of the
route says so.
"""

from __future__ import annotations

from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from triows._annotations import described, type_name, unnamed
from triows._pydantic import mentions_model
from triows.types import ParamMark

from .conversion import annotated
from .defaults import UncopyableDefault, default_maker
from .files import is_file
from .marks import Site, mark_of, unmarked
from .packs import UnreadableField, has_fields, is_pack, pack_fields, unwrapped
from .parameter import MISSING, Parameter
from .plan import BodySpec
from .signatures import resolved
from .sources import FORM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .kinds import RouteKind

__all__ = ["BODY", "body_spec", "check_fields", "is_body", "is_form"]

#: The word of ``Param()`` for the whole body.
BODY = "body"

# Types that only a body can be made into, as it is.
_RAW = (bytes, bytearray, memoryview)


def is_body(annotation: Any, mark: ParamMark | None) -> bool:
    """
    Say whether a parameter is made from the whole body.

    Without a mark, it is if its type has named parts, or is a container of such values, because
    nothing else in a request does.
    """
    if mark is not None and (mark.source is not None or mark.decoder is not None):
        return mark.source == BODY
    return _is_structured(annotation)


def _is_structured(annotation: Any) -> bool:
    annotation = unnamed(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _is_structured(args[0])
    if has_fields(annotation) or unwrapped(annotation) in _RAW:
        return True
    inner = any(map(_is_structured, args)) if origin in _NESTING else False
    return inner or (origin in (Union, UnionType) and any(map(_is_structured, args)))


_NESTING = (list, tuple, set, frozenset)


def is_form(annotation: Any, mark: ParamMark | None, kind: RouteKind) -> bool:
    """Say whether a parameter is a field of a form, or a file in one."""
    if mark is not None and mark.source is not None:
        return mark.source == FORM.name
    return is_file(annotation, kind)


def body_spec(
    name: str,
    annotation: Any,
    default: Any,
    kind: RouteKind,
    site: Site,
    mark: ParamMark | None = None,
) -> BodySpec:
    """
    Plan a parameter that is made from the whole body.

    Raises:
        HandlerSignatureError: It can't be.
    """
    if kind.body is None:
        site.refuse(f'can not be read: {kind.no_body} for Param("body") to read')
    try:
        maker = None if default is MISSING else default_maker(default)
    except UncopyableDefault as exc:
        site.refuse(
            f"has a default that can be changed, so each {kind.noun} needs a copy of its own, and "
            f"it can't be copied ({exc}): make the default None"
        )
    decoder = None if mark is None else mark.decoder
    if mark is not None:
        annotation = _constrained(annotation, mark, site)
    try:
        compiled = kind.body.decoder(annotation, maker, decoder)
    except TypeError as exc:
        site.refuse(f"can't be made from a body: {exc}")
    known = Parameter(
        name=name,
        source="body",
        alias="",
        type=annotation,
        default=default,
        description=described(annotation),
        decoder=decoder,
    )
    return BodySpec(known, compiled)


def _constrained(annotation: Any, mark: ParamMark, site: Site) -> Any:
    """Put what ``Param()`` says about the value into its type."""
    if mark.alias is not None:
        site.refuse("has an alias, and the body as a whole has no name: leave alias= out")
    if mark.constraint is None:
        return annotation
    if mark.decoder is not None:
        site.refuse("has constraints that its decoder replaces: check them in the decoder")
    if mentions_model(annotation):
        site.refuse(
            "has constraints that pydantic, which makes it, doesn't know: give them to "
            "pydantic.Field()"
        )
    return annotated(annotation, mark.constraint)


def check_fields(annotation: Any, site: Site, seen: tuple[Any, ...] = ()) -> None:
    """
    Refuse our marks in the fields of classes that a body is made into, and other mistakes there.

    msgspec and pydantic read those fields. They don't know our marks, so that a constraint of
    ``Param()`` would be checked by nobody.

    Raises:
        HandlerSignatureError: There is one.
    """
    owner = site.label.removesuffix(",")
    for cls in _classes_in(annotation):
        for name, type_, default in _fields(cls) if cls not in seen else ():
            field = Site(f"{owner}, field `{name}`,", site.where, f"{name}: ")
            field.check_field(type_, default)
            inner, marks = unmarked(type_)
            if mark_of(ParamMark, marks) is not None:
                field.refuse(
                    "has Param() in its Annotated, which does nothing in a body: write "
                    f"`{name}: Annotated[{type_name(inner)}, msgspec.Meta(...)]`, or, in a "
                    "pydantic model, pydantic.Field(...)"
                )
            check_fields(type_, field, (*seen, cls))


def _classes_in(annotation: Any) -> Iterator[Any]:
    """Find the classes with fields in a type, but not those in their fields."""
    annotation = unnamed(annotation)
    args = get_args(annotation)
    if get_origin(annotation) is Annotated:
        args = args[:1]
    elif is_pack(annotation) or is_typeddict(get_origin(annotation) or annotation):
        yield annotation
    if get_origin(annotation) is not Literal:
        for argument in args:
            yield from _classes_in(argument)


def _fields(cls: Any) -> Iterator[tuple[str, Any, Any]]:
    if is_typeddict(get_origin(cls) or cls):
        hints = get_type_hints(get_origin(cls) or cls, include_extras=True)
        yield from ((name, type_, MISSING) for name, type_ in hints.items())
        return
    try:
        found = pack_fields(cls)
    except UnreadableField:  # as a parameter; pydantic can read more in a body
        return
    yield from ((one.name, resolved(one.type), one.default) for one in found)
