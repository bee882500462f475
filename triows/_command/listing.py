"""The table that ``triows routes`` prints."""

from __future__ import annotations

import os
from itertools import zip_longest
from typing import TYPE_CHECKING

from triows._annotations import type_name
from triows._injection.listing import written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from triows._description import BodyInfo, MountInfo, ResourceInfo, ResultInfo, RouteInfo

__all__ = ["table"]

HEADINGS = ("METHOD", "PATH", "HANDLER", "PARAMETERS", "RESULTS", "RESOURCES")


def table(routes: Iterable[RouteInfo], mounts: Iterable[MountInfo]) -> Iterator[str]:
    """Lay out routes and mounts in columns, one line for each parameter, result and resource."""
    lines: list[tuple[str, ...]] = [HEADINGS]
    for row in _rows(routes, mounts):
        lines.extend(zip_longest(*row, fillvalue=""))
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    for line in lines:
        yield "  ".join(
            cell.ljust(width) for cell, width in zip(line, widths, strict=True)
        ).rstrip()


def _rows(
    routes: Iterable[RouteInfo], mounts: Iterable[MountInfo]
) -> Iterator[Sequence[Iterable[str]]]:
    """Yield what is in each column, for each route and then each mount."""
    for route in routes:
        yield (
            [route.method or "WEBSOCKET"],
            [route.path],
            [_relative(route.handler)],
            [*(line for one in route.parameters for line in written(one)), *_body(route.body)],
            _results(route.results),
            [_named(resource) for resource in route.resources],
        )
    for mount in mounts:
        yield ["MOUNT"], [mount.path], [_relative(mount.handler)], [], [], []


def _body(body: BodyInfo | None) -> Iterator[str]:
    if body is not None:
        yield f"body: {type_name(body.type)}{'' if body.required else ' (optional)'}"


def _results(results: Iterable[ResultInfo]) -> list[str]:
    """Say what a handler answers. If no annotation says it, that is one line."""
    unknown = [one for one in results if one.type is object]
    return [_result(one) for one in unknown or results]


def _result(result: ResultInfo) -> str:
    """Write ``201 Product``, ``204``, or ``HTMLResponse``, which has a status of its own."""
    shown = "Any" if result.type is object else type_name(result.type)
    parts = (result.status, None if result.type is None else shown)
    return " ".join(str(part) for part in parts if part is not None)


def _named(resource: ResourceInfo) -> str:
    return f"{resource.name} (application)" if resource.scope == "app" else resource.name


def _relative(where: str) -> str:
    return where.removeprefix(os.getcwd() + os.sep)
