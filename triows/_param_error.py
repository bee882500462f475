"""One thing that is wrong with a request, as a client reads it in a 422."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen

__all__ = ["ParamError", "ParamSource"]

#: The parts of a request that a value can come from.
ParamSource: TypeAlias = Literal["path", "query", "header", "cookie", "body", "form"]


@frozen
class ParamError:
    """
    One thing that is wrong with a parameter or the body of a request.

    It isn't an exception: :exc:`~triows.InvalidRequest` has one or more of them. The client may see
    everything in it.

    Args:
        location: Where the value was looked for: ``"path"``, ``"query"``, ``"header"``,
            ``"cookie"``, ``"form"`` or ``"body"``.
        name: Its name in the request. In a body, it is the path to the value, such as
            ``items.0.price``. It is empty if the error is about the whole query or body, or about a
            name that can't be read.
        message: What is wrong with it, for a person.
    """

    location: ParamSource
    name: str
    message: str
