"""
Finding the route of a path.

The templates form a tree of segments. A match goes down the tree, one segment of the path after
the other. So its cost depends on the length of the path, and on how many templates have the same
beginning, but not on how many templates there are. At each place the most specific template comes
first, whatever the order of registration:

    literal > int > float > uuid > registered by the user > composed > str > path > mount

("composed" is a segment of literal text and keys, or of several keys.) Only the composed segments
and the users' converters at one place in the tree are tried one by one.

If the rest of the path does not match below one template, the next one is tried.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from attrs import define, field, frozen

from triows.exceptions import RouteConflictError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .template import Key, Segment, Template

__all__ = ["Match", "RouteTree"]

T = TypeVar("T")


@frozen
class Match(Generic[T]):
    """
    The result of looking up a path.

    Attributes:
        value: The value that was added or mounted.
        template: The template that matched.
        raw_params: The keys' texts, decoded.
        params: The keys' values, as their converters made them.
        remaining: The segments below a mount: ``()`` for the mount point itself, ``("",)``
            for the mount point and a slash. Always ``()`` for a route.
    """

    value: T
    template: Template
    raw_params: dict[str, str]
    params: dict[str, Any]
    remaining: tuple[str, ...] = ()


@frozen(eq=False)
class _Leaf(Generic[T]):
    template: Template
    value: T
    where: str | None
    keys: tuple[Key, ...]


@frozen(eq=False)
class _Branch(Generic[T]):
    segment: Segment
    node: _Node[T]


@define(eq=False)
class _Node(Generic[T]):
    """A place in the tree: what may come next, and what ends here."""

    literals: dict[str, _Node[T]] = field(factory=dict)
    # In order of precedence.
    branches: list[_Branch[T]] = field(factory=list)
    rests: list[_Branch[T]] = field(factory=list)
    leaf: _Leaf[T] | None = None

    def child(self, segment: Segment) -> _Node[T]:
        """Return the node below for a segment. Segments of the same shape share one."""
        if segment.literal is not None:
            return self.literals.setdefault(segment.literal, _Node())
        branches = self.rests if segment.is_rest else self.branches
        for branch in branches:
            if branch.segment.shape == segment.shape:
                return branch.node
        branch = _Branch[T](segment, _Node())
        # Put it after equal ones, so that the order of registration decides among them.
        bisect.insort_right(branches, branch, key=lambda other: other.segment.precedence)
        return branch.node


# A node, how many segments of the path led to it, and the texts of the keys on the way.
_Step: TypeAlias = tuple[_Node[T], int, tuple[str, ...]]


class RouteTree(Generic[T]):
    """
    The routes of an application, with a value for each.

    Add routes at start-up. :meth:`match` changes nothing, and any thread may call it.
    """

    def __init__(self) -> None:
        self._routes: _Node[T] = _Node()
        self._mounts: _Node[T] = _Node()

    def add(self, template: Template, value: T, where: str | None = None) -> None:
        """
        Add a route, which matches whole paths.

        Args:
            template: The paths.
            value: What :meth:`match` finds for these paths.
            where: ``file:line (name)`` of the user's function, for the error.

        Raises:
            RouteConflictError: There is a template of the same shape.
        """
        _insert(self._routes, template, value, where)

    def add_all(self, routes: Iterable[tuple[Template, T, str | None]]) -> None:
        """
        Add several routes, as :meth:`add` does, or none of them.

        Raises:
            RouteConflictError: There is a template of the same shape, in the tree or among
                them. The tree then matches what it matched before.
        """
        added: list[_Node[T]] = []
        try:
            for template, value, where in routes:
                added.append(_insert(self._routes, template, value, where))
        except RouteConflictError:
            # The nodes that were made on the way stay. Nothing ends at them.
            for node in added:
                node.leaf = None
            raise

    def mount(self, prefix: Template, value: T, where: str | None = None) -> None:
        """
        Add a value for all paths that begin with the prefix and match no route.

        The longest prefix wins. Among prefixes of the same length, the most specific wins.

        Args:
            prefix: How the paths begin. ``/`` means all paths.
            value: What :meth:`match` finds for these paths.
            where: ``file:line (name)`` of the user's function, for the error.

        Raises:
            RouteConflictError: Something is mounted at a prefix of the same shape, or the prefix
                has a ``{name:path}``, which leaves nothing below.
        """
        if any(segment.is_rest for segment in prefix.segments):
            raise RouteConflictError(
                f"nothing can be mounted at '{prefix}': its {{name:path}} takes the rest of "
                "the path. Mount at the part before it",
                where,
            )
        _insert(self._mounts, prefix, value, where)

    def match(self, segments: tuple[str, ...]) -> Match[T] | None:
        """
        Find what a path leads to.

        A value that its converter refuses with :exc:`ValueError` doesn't match, and the search
        goes on.

        Args:
            segments: The decoded segments, from :func:`.path.request_segments`.
        """
        for node, index, values in _steps(self._routes, segments):
            if node.leaf is not None and index == len(segments):
                found = _match(node.leaf, values, ())
                if found is not None:
                    return found
        return self._match_mount(segments)

    def _match_mount(self, segments: tuple[str, ...]) -> Match[T] | None:
        reached = list(_steps(self._mounts, segments))
        # The sort is stable, so steps of the same length stay in order of precedence.
        reached.sort(key=lambda step: step[1], reverse=True)
        for node, index, values in reached:
            if node.leaf is not None:
                found = _match(node.leaf, values, segments[index:])
                if found is not None:
                    return found
        return None


def _insert(root: _Node[T], template: Template, value: T, where: str | None) -> _Node[T]:
    node = root
    for segment in template.segments:
        node = node.child(segment)
    if (other := node.leaf) is not None:
        at = f" at {other.where}" if other.where else ""
        raise RouteConflictError(
            f"'{template}' matches the same paths as '{other.template}', which was registered "
            f"before{at}: change one of them, or remove it",
            where,
        )
    keys = tuple(key for segment in template.segments for key in segment.keys)
    node.leaf = _Leaf(template, value, where, keys)
    return node


def _steps(root: _Node[T], segments: tuple[str, ...]) -> Iterator[_Step[T]]:
    """
    Go through all nodes to which a beginning of the path leads, the most specific first.

    The stack is a list and not a recursion, so a template with a thousand segments doesn't fail.
    No node is visited twice, so hostile paths can't make it slower than the tree is large.
    """
    stack: list[_Step[T]] = [(root, 0, ())]
    while stack:
        node, index, values = stack.pop()
        yield node, index, values
        # Last in, first out, so the least specific is pushed first.
        if node.rests and (index < len(segments) or not segments):
            stack.extend(_rest_steps(node, segments, index, values))
        if index == len(segments):
            continue
        text = segments[index]
        # No key matches an empty segment, whatever its expression says: "/a//b" is not
        # "/a/{name}/b" with nothing for a name.
        if text:
            for branch in reversed(node.branches):
                found = branch.segment.match(text)
                if found is not None:
                    stack.append((branch.node, index + 1, values + found))
        literal = node.literals.get(text)
        if literal is not None:
            stack.append((literal, index + 1, values))


def _rest_steps(
    node: _Node[T], segments: tuple[str, ...], index: int, values: tuple[str, ...]
) -> Iterator[_Step[T]]:
    rest = "/".join(segments[index:])
    for branch in reversed(node.rests):
        found = branch.segment.match(rest)
        if found is not None:
            yield branch.node, len(segments), values + found


def _match(leaf: _Leaf[T], values: tuple[str, ...], remaining: tuple[str, ...]) -> Match[T] | None:
    raw: dict[str, str] = {}
    params: dict[str, Any] = {}
    try:
        for key, value in zip(leaf.keys, values, strict=True):
            raw[key.name] = value
            params[key.name] = key.converter.convert(value)
    except ValueError:
        # `int` has a limit of 4300 digits; a user's converter may know which ids exist.
        return None
    return Match(leaf.value, leaf.template, raw, params, remaining)
