"""
What is known of a parameter, as data.

Lists of routes are written from it, and so is whatever else describes an application to people or
programs. How the parameter is read is not part of it: see :mod:`.readers`.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from triows._annotations import type_name

if TYPE_CHECKING:
    from collections.abc import Callable

    import msgspec

    from triows.types import ParamSource

__all__ = ["MADE_ANEW", "MISSING", "MadeAnew", "Missing", "Parameter"]


class Missing(enum.Enum):
    """The type of :data:`MISSING`."""

    MISSING = "MISSING"


class MadeAnew(enum.Enum):
    """The type of :data:`MADE_ANEW`."""

    MADE_ANEW = "MADE_ANEW"


#: The default of a parameter that has none.
MISSING: Final = Missing.MISSING
#: The default of a field whose class makes a new one for each object, so nobody knows it.
MADE_ANEW: Final = MadeAnew.MADE_ANEW


def _by_value(default: Any) -> Any:
    """Compare plain values by value. Other objects may answer ``==`` with anything."""
    plain = isinstance(default, (str, int, float, enum.Enum))
    return (type(default), default) if plain else id(default)


@frozen
class Parameter:
    """
    One parameter of a handler or factory, or one field of a pack.

    Two parameters that ask for the same thing are equal, so it is read once for both.

    Args:
        name: The parameter's name in Python.
        source: Where it is read from.
        alias: Its name in the request. The name of a header is in lower case.
        type: Its annotation with all constraints, including those of ``Param``.
        default: Its value if the request doesn't have it. It is one only if :attr:`has_default` is
            true: the parameter may be required, and a field may get a new value for each object.
        constraints: What the value has to fulfil as a whole. Constraints of the items of a list are
            in the type. What pydantic or a decoder checks isn't known.
        description: What its metadata says about it, for people.
        decoder: The application's function that replaces the conversion by type.
        fields: The parameters that a pack is built from. Empty for all other types.
        closed: Whether it is a pack that forbids names in its source that nothing reads.
    """

    name: str
    source: ParamSource
    alias: str
    type: Any = field(hash=False)
    default: Any = field(hash=False, eq=_by_value)
    constraints: tuple[msgspec.Meta, ...] = field(default=(), eq=False)
    description: str = field(default="", eq=False)
    decoder: Callable[[str], Any] | None = field(default=None, hash=False, repr=False)
    fields: tuple[Parameter, ...] = field(default=(), repr=False)
    closed: bool = field(default=False, repr=False)

    @property
    def required(self) -> bool:
        """Whether a request without it is refused."""
        return self.default is MISSING and (
            not self.fields or any(part.required for part in self.fields)
        )

    @property
    def has_default(self) -> bool:
        """Whether ``default`` is a value, and not one of the two words for the absence of one."""
        return self.default is not MISSING and self.default is not MADE_ANEW

    @property
    def type_name(self) -> str:
        """The type as a person writes it."""
        return type_name(self.type)
