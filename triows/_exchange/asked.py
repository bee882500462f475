"""What a request asks for, as parameters are read from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triows._injection.plain import read_plain
from triows._injection.query import RequestData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from triows._injection.plan import Head
    from triows._param_error import ParamError
    from triows._settings import Limits
    from triows.types import Scope

__all__ = ["PathParams", "data_of", "read_head"]


class PathParams(dict[str, Any]):
    """
    The parameters of a path, for ``scope["path_params"]``, as in Starlette.

    Args:
        params: The values that the template's converters made.
        raw: The texts in the path, decoded. The handler's arguments are made from these.
    """

    __slots__ = ("raw",)

    def __init__(self, params: Mapping[str, Any], raw: Mapping[str, str]) -> None:
        super().__init__(params)
        self.raw = raw


# Making a frozen one for each connection would take three times as long.


def read_head(head: Head, scope: Scope, limits: Limits) -> tuple[list[Any], list[ParamError]]:
    """
    Read the parameters of a plan from the head of a request.

    Returns:
        The values and all errors, as :func:`.read_params` does.
    """
    path_params = scope.get("path_params")
    if type(path_params) is PathParams:
        query = scope.get("query_string") or b""
        if head.plain is not None:
            values = read_plain(head.plain, path_params.raw, query, limits.query_parameters)
            if values is not None:
                return values, []
    return head.read(data_of(scope, limits))


def data_of(scope: Scope, limits: Limits) -> RequestData:
    """Return what parameters are read from."""
    path_params = scope.get("path_params") or {}
    if isinstance(path_params, PathParams):
        raw = path_params.raw
    else:  # middleware has replaced it
        raw = {name: str(value) for name, value in path_params.items()}
    return RequestData(
        scope.get("query_string") or b"",
        scope["headers"],
        raw,
        max_query_parameters=limits.query_parameters,
    )
