"""
Parameters that are made from the body of a request.

A parameter comes in. What comes out says where in the body it is: the whole of it, a field of a
form, or nowhere. A WebSocket handshake has no body, and neither has a GET request; the kind of the
route says so.
"""

from __future__ import annotations

from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from triows._annotations import described, unnamed

from .defaults import UncopyableDefault, default_maker
from .files import is_file
from .packs import has_fields, unwrapped
from .parameter import MISSING, Parameter
from .plan import BodySpec
from .sources import FORM

if TYPE_CHECKING:
    from triows.types import ParamMark

    from .kinds import RouteKind
    from .marks import Site

__all__ = ["BODY", "body_spec", "is_body", "is_form"]

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


def body_spec(name: str, annotation: Any, default: Any, kind: RouteKind, site: Site) -> BodySpec:
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
    try:
        decoder = kind.body.decoder(annotation, maker)
    except TypeError as exc:
        site.refuse(f"can't be made from a body: {exc}")
    known = Parameter(
        name=name,
        source="body",
        alias="",
        type=annotation,
        default=default,
        description=described(annotation),
    )
    return BodySpec(known, decoder)
