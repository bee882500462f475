"""Refusals of what a peer has sent, whatever the kind of the exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triows._counted import counted
from triows._reply import Reply, problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triows._injection.params import ParamError

__all__ = ["bad_parameters"]


def bad_parameters(errors: Sequence[ParamError]) -> Reply:
    """Make a 422 with every error that was found."""
    return problem(
        422,
        f"{counted(len(errors), 'parameter')} of the request can't be used",
        errors=[
            {"location": error.location, "name": error.name, "message": error.message}
            for error in errors
        ],
    )
