"""The routes and mounts of an application, by path and by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .leaf import HANDSHAKE, Match, Mismatch, Target
from .names import NamedRoute, RouteNames
from .tree import RouteTree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.datastructures import URLPath

    from .leaf import Method
    from .names import Lookup
    from .node import RouteDescription
    from .template import Template

__all__ = ["Router"]

T = TypeVar("T")


class Router(Generic[T]):
    """
    Finds a route by its path, and a path by the name of its route.

    Add routes and mounts at start-up. Any thread may look them up.
    """

    def __init__(self) -> None:
        self._tree: RouteTree[T] = RouteTree()
        self._names = RouteNames(self._tree)

    def add(self, routes: Iterable[tuple[RouteDescription, T]]) -> None:
        """
        Add several routes, each with its value, or none of them.

        Raises:
            RouteConflictError: A name was given twice, or two of the same method match the same
                paths.
        """
        named = [NamedRoute(description, value) for description, value in routes]
        self._names.check(named)
        self._tree.add_all(
            (one.description.method, Target(one.template, one.value, one.where)) for one in named
        )
        self._names.add(named)

    def mount(
        self, prefix: Template, value: T, *, name: str | None = None, lookup: Lookup | None = None
    ) -> None:
        """
        Add a value for all paths that begin with the prefix and match no route.

        Args:
            prefix: How the paths begin. ``/`` means all paths.
            value: What :meth:`match` finds for these paths.
            name: Comes before the names of its routes, with a colon. ``None`` for nothing.
            lookup: Its own ``url_path_for``; ``None`` if it has none.

        Raises:
            RouteSetupError: Something is mounted there already, or has that name, or nothing can be
                mounted there.
        """
        self._names.check_mount(prefix, name)
        self._tree.mount(prefix, value)
        self._names.mount(prefix, value, name, lookup)

    def match(
        self, segments: tuple[str, ...], method: Method = HANDSHAKE
    ) -> Match[T] | Mismatch | None:
        """Find what a path leads to, as :meth:`.tree.RouteTree.match` does."""
        return self._tree.match(segments, method)

    def path_for(self, name: str, params: Mapping[str, Any]) -> URLPath:
        """
        Make the path of a route.

        Raises:
            NoMatchFound: No route has that name, or the parameters don't fit its path. The message
                says what is needed.
        """
        return self._names.path_for(name, params)
