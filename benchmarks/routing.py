"""
Compare the cost of a match with ten routes and with ten thousand.

    python benchmarks/routing.py

It prints the microseconds per match, the best of several repeats, for triows' tree and, for
comparison, for Starlette's router. The aim is a ratio below 2 for the tree.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable, Sequence
from typing import Any

from starlette.routing import Match, Router, WebSocketRoute

from triows._routing import RouteTree, Template, request_segments

REPEATS = 7
FEW, MANY = 10, 10_000
SECONDS = 0.1  # per repeat, at least

Scope = dict[str, Any]


def templates(count: int) -> list[str]:
    """Make routes of the kinds that an application has."""
    kinds = [
        "/rooms/room-{n}",
        "/api/v1/things-{n}/{{thing_id}}",
        "/users/{{user_id:int}}/feature-{n}/{{name}}",
        "/{{tenant}}/module-{n}/events",
        "/files/part-{n}/{{rest:path}}",
    ]
    return [kinds[n % len(kinds)].format(n=n) for n in range(count)]


def requests(count: int) -> list[Scope]:
    """Make requests for the first, the middle and the last routes, and for one that is missing."""
    asked = []
    for n in (*range(5), *range(count // 2, count // 2 + 5), *range(count - 5, count)):
        template = templates(count)[n]
        path = template.replace("{user_id:int}", "42").replace("{rest:path}", "a/b/c")
        for key in ("{thing_id}", "{name}", "{tenant}"):
            path = path.replace(key, "caf\u00e9")
        asked.append(path)
    asked += ["/rooms/none", "/users/42/none/x", "/"]
    return [
        {
            "type": "websocket",
            "path": path,
            "raw_path": path.replace("\u00e9", "%C3%A9").encode(),
            "root_path": "",
        }
        for path in asked
    ]


def tree_match(count: int) -> Callable[[Scope], object]:
    tree: RouteTree[str] = RouteTree()
    for template in templates(count):
        tree.add(Template.parse(template), template)
    return lambda scope: tree.match(request_segments(scope))


async def endpoint(websocket: object) -> None:
    """Do nothing. Nobody calls this."""


def starlette_match(count: int) -> Callable[[Scope], object]:
    router = Router([WebSocketRoute(template, endpoint) for template in templates(count)])

    def match(scope: Scope) -> object:
        # Router.app does the same before it calls the route.
        for route in router.routes:
            found, child_scope = route.matches(scope)
            if found is Match.FULL:
                return child_scope
        return None

    return match


def microseconds(match: Callable[[Scope], object], scopes: Sequence[Scope]) -> float:
    """Measure one match: the average over the scopes, in the best of the repeats."""

    def all_of_them() -> None:
        for scope in scopes:
            match(scope)

    timer = timeit.Timer(all_of_them)
    once = timer.timeit(1)
    number = max(1, int(SECONDS / once))
    return min(timer.repeat(REPEATS, number)) / number / len(scopes) * 1e6


def main() -> None:
    print(f"{'us per match':<14}{FEW:>10} routes{MANY:>10} routes{'ratio':>10}")
    for name, make in (("triows", tree_match), ("starlette", starlette_match)):
        few = microseconds(make(FEW), requests(FEW))
        many = microseconds(make(MANY), requests(MANY))
        print(f"{name:<14}{few:>10.2f}       {many:>10.2f}       {many / few:>10.2f}")


if __name__ == "__main__":
    main()
