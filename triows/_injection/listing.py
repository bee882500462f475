"""Parameters as a person would write them, for lists of routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triows._printable import printable

from .parameter import MADE_ANEW, MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .parameter import Parameter

__all__ = ["written"]

#: Characters of a default that are shown.
_MOST_SHOWN = 40


def written(parameter: Parameter) -> Iterator[str]:
    """Say what is read for a parameter: ``query size: int = 10``, or one line for each field."""
    if not parameter.fields:
        yield _line(parameter, parameter.default)
        return
    for field in parameter.fields:
        # If the whole pack has a default, none of its fields has to be given.
        optional = field.required and not parameter.required
        yield _line(field, MADE_ANEW if optional else field.default)


def _line(parameter: Parameter, default: object) -> str:
    return f"{parameter.source} {parameter.alias}: {parameter.type_name}{_shown(default)}"


def _shown(default: object) -> str:
    if default is MISSING:
        return ""
    try:
        shown = " (optional)" if default is MADE_ANEW else f" = {printable(repr(default))}"
    except Exception:  # noqa: BLE001 - the class is an application's
        return " (optional)"
    return shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}..."
