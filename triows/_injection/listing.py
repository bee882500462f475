"""Parameters as a person would write them, for lists of routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triows._printable import printable

from .packs import NO_DEFAULT, pack_fields, unwrapped
from .params import MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .params import ParamSpec

__all__ = ["written"]

#: Characters of a default that are shown.
_MOST_SHOWN = 40


def written(spec: ParamSpec) -> Iterator[str]:
    """Say what is read for a parameter: ``query size: int = 10``, or one line for each field."""
    if not spec.fields:
        yield _line(spec, spec.default)
        return
    defaults = {one.argument: one.default for one in pack_fields(unwrapped(spec.type))}
    for field in spec.fields:
        # If the whole pack has a default, none of its fields has to be given.
        required = field.required and spec.default is MISSING
        yield _line(field, MISSING if required else defaults.get(field.name, NO_DEFAULT))


def _line(spec: ParamSpec, default: object) -> str:
    return f"{spec.source} {spec.alias}: {spec.type_name}{_shown(default)}"


def _shown(default: object) -> str:
    if default is MISSING:
        return ""
    try:
        shown = " (optional)" if default is NO_DEFAULT else f" = {printable(repr(default))}"
    except Exception:  # noqa: BLE001 - the class is an application's
        return " (optional)"
    return shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}..."
