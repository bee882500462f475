"""What ``triows routes`` lists of the first route of an application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triows._injection.listing import written

if TYPE_CHECKING:
    from triows import Triows

__all__ = ["listed_parameters", "listed_resources"]


def listed_parameters(app: Triows) -> tuple[str, ...]:
    """Return the line of each parameter."""
    return tuple(line for parameter in app.routes[0].parameters for line in written(parameter))


def listed_resources(app: Triows) -> tuple[str, ...]:
    """Return the name of each factory."""
    return tuple(resource.name for resource in app.routes[0].resources)
