"""The routes and mounts of an application, by path and by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

from .leaf import HANDSHAKE, Match, Mismatch, Target
from .names import NamedRoute, RouteNames
from .path import request_segments
from .tree import RouteTree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.datastructures import URLPath

    from triows.types import Scope

    from .leaf import Method
    from .names import Lookup
    from .node import RouteDescription
    from .template import Template

__all__ = ["Router"]

T = TypeVar("T")

#: What a request asks for: what its path leads to, and the segments of the path.
Found: TypeAlias = tuple[Match[T] | Mismatch | None, tuple[str, ...]]

# How many paths are remembered, and of how many characters at most, with the method. A client that
# asks for others makes the router forget them, and no request slower than it would be without.
_MOST_KNOWN: Final = 256
_LONGEST_KNOWN: Final = 256


class Router(Generic[T]):
    """
    Finds a route by its path, and a path by the name of its route.

    Add routes and mounts at start-up. Any thread may look them up.
    """

    def __init__(self) -> None:
        self._tree: RouteTree[T] = RouteTree()
        self._names = RouteNames(self._tree)
        # Where paths without keys lead, with the raw path for which that is true.
        self._known: dict[tuple[str, Method], tuple[Any, Found[T]]] = {}

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
        self._known.clear()

    def mount(
        self,
        prefix: Template,
        value: T,
        *,
        name: str | None = None,
        lookup: Lookup | None = None,
        where: str | None = None,
    ) -> None:
        """
        Add a value for all paths that begin with the prefix and match no route.

        Args:
            prefix: How the paths begin. ``/`` means all paths.
            value: What :meth:`match` finds for these paths.
            name: Comes before the names of its routes, with a colon. ``None`` for nothing.
            lookup: Its own ``url_path_for``; ``None`` if it has none.
            where: ``file:line (name)`` of the user's call, for errors.

        Raises:
            RouteSetupError: Something is mounted there already, or has that name, or nothing can be
                mounted there.
        """
        self._names.check_mount(prefix, name, where)
        self._tree.mount(prefix, value, where)
        self._names.mount(prefix, value, name, lookup, where)
        self._known.clear()

    def find(self, scope: Scope) -> Found[T]:
        """
        Find what a request asks for.

        Args:
            scope: An ASGI scope of type ``http`` or ``websocket``.

        Raises:
            BadPath: Its path can't be read. See :func:`.path.request_segments`.
        """
        path: str = scope["path"]
        method = scope["method"] if scope["type"] == "http" else HANDSHAKE
        asked = path, method
        raw = scope.get("raw_path")
        has_root = bool(scope.get("root_path"))
        known = self._known.get(asked)
        if known is not None and known[0] == raw and type(known[0]) is type(raw) and not has_root:
            return known[1]
        segments = request_segments(scope)
        match = self._tree.match(segments, method)
        if isinstance(match, Match) and not match.raw_params and not has_root:
            self._remember(asked, raw, (match, segments))
        return match, segments

    def _remember(self, asked: tuple[str, Method], raw: Any, found: Found[T]) -> None:
        is_short = len(asked[0]) + len(asked[1] or "") <= _LONGEST_KNOWN
        if is_short and self._tree.has_no_key(found[1]):
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[asked] = raw, found

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
