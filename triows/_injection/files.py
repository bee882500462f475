"""Parameters that are files in a form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args, get_origin

from triows._param_error import ParamError

from .packs import unwrapped
from .readers import FAILED, absent_reader
from .sources import FORM

if TYPE_CHECKING:
    from collections.abc import Callable

    from .kinds import RouteKind
    from .query import RequestData
    from .readers import Reader

__all__ = ["file_reader", "is_file"]


def is_file(annotation: Any, kind: RouteKind) -> bool:
    """Say whether a type is that of a file in a form, or of several."""
    if kind.body is None:
        return False
    annotation = unwrapped(annotation)
    if get_origin(annotation) is list:
        annotation = unwrapped(get_args(annotation)[0])
    return annotation is kind.body.file


def file_reader(alias: str, *, many: bool, default: Callable[[], Any] | None) -> Reader:
    """
    Make the reader of a file, or of all files in one field.

    Args:
        alias: The name of the field.
        many: Whether it is a list of files.
        default: Makes the value if there is no file. ``None`` if it is required.
    """
    absent = absent_reader(FORM, alias, default)

    def read(data: RequestData, errors: list[ParamError]) -> Any:
        found = data.form.files.get(alias)
        if found is None and alias in data.form.values:
            errors.append(ParamError(FORM.name, alias, "Expected a file"))
            return FAILED
        if found is None:
            return absent(data, errors)
        if many:
            return found
        if len(found) != 1:
            text = f"Given {len(found)} times, expected once"
            errors.append(ParamError(FORM.name, alias, text))
            return FAILED
        return found[0]

    return read
