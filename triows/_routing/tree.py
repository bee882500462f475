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

from .leaf import HANDSHAKE, Leaf, Match, Mismatch, Target, refuse_second

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .leaf import Method
    from .template import Segment, Template

__all__ = ["RouteTree"]

T = TypeVar("T")
#: What is at the end of a template.
E = TypeVar("E")


@frozen(eq=False)
class _Branch(Generic[E]):
    segment: Segment
    place: _Place[E]


@define(eq=False)
class _Place(Generic[E]):
    """A place in the tree: what may come next, and what ends here."""

    literals: dict[str, _Place[E]] = field(factory=dict)
    # In order of precedence.
    branches: list[_Branch[E]] = field(factory=list)
    rests: list[_Branch[E]] = field(factory=list)
    end: E | None = None

    def below(self, template: Template) -> _Place[E]:
        """Return the place to which a template leads from here. Make what is missing."""
        place = self
        for segment in template.segments:
            place = place._next(segment)
        return place

    def _next(self, segment: Segment) -> _Place[E]:
        """Return the place below for a segment. Segments of the same shape share one."""
        if segment.literal is not None:
            return self.literals.setdefault(segment.literal, _Place())
        branches = self.rests if segment.is_rest else self.branches
        for branch in branches:
            if branch.segment.shape == segment.shape:
                return branch.place
        branch = _Branch[E](segment, _Place())
        # Put it after equal ones, so that the order of registration decides among them.
        bisect.insort_right(branches, branch, key=lambda other: other.segment.precedence)
        return branch.place


# A place, how many segments of the path led to it, and the texts of the keys on the way.
_Step: TypeAlias = tuple[_Place[E], int, tuple[str, ...]]


class RouteTree(Generic[T]):
    """
    The routes of an application, with a value for each.

    Add routes at start-up. :meth:`match` changes nothing, and any thread may call it.
    """

    def __init__(self) -> None:
        self._routes: _Place[Leaf[T]] = _Place()
        self._mounts: _Place[Target[T]] = _Place()

    def add(
        self, template: Template, value: T, *, method: Method = HANDSHAKE, where: str | None = None
    ) -> None:
        """
        Add a route, which matches whole paths.

        Args:
            template: The paths.
            value: What :meth:`match` finds for these paths.
            method: What a request has to ask for.
            where: ``file:line (name)`` of the user's function, for the error.

        Raises:
            RouteConflictError: There is a template of the same shape with that method.
        """
        self.add_all([(method, Target(template, value, where))])

    def add_all(self, routes: Iterable[tuple[Method, Target[T]]]) -> None:
        """
        Add several routes, as :meth:`add` does, or none of them.

        Raises:
            RouteConflictError: There is a template of the same shape with that method, in the
                tree or among them. The tree then matches what it matched before.
        """
        before: list[tuple[_Place[Leaf[T]], Leaf[T] | None]] = []
        try:
            for method, target in routes:
                place = self._routes.below(target.template)
                leaf = (place.end or Leaf()).with_target(method, target)
                before.append((place, place.end))
                place.end = leaf
        except RouteConflictError:
            # The places that were made on the way stay. Nothing ends at them.
            for place, end in reversed(before):
                place.end = end
            raise

    def mount(self, prefix: Template, value: T, where: str | None = None) -> None:
        """
        Add a value for all paths that begin with the prefix and match no route.

        The longest prefix wins. Among prefixes of the same length, the most specific wins. A mount
        gets all methods, and WebSockets.

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
        place = self._mounts.below(prefix)
        target = Target(prefix, value, where)
        if place.end is not None:
            refuse_second(target, place.end)
        place.end = target

    def match(
        self, segments: tuple[str, ...], method: Method = HANDSHAKE
    ) -> Match[T] | Mismatch | None:
        """
        Find what a path leads to.

        A value that its converter refuses with :exc:`ValueError` doesn't match, and the search
        goes on. It doesn't go on after a :class:`.leaf.Mismatch`: the path is matched first, and
        the method second.

        Args:
            segments: The decoded segments, from :func:`.path.request_segments`.
            method: What the request asks for.
        """
        # Most paths need no search: at each place, only one template can match.
        place, index = self._routes, 0
        texts: tuple[str, ...] = ()
        for text in segments:
            if place.rests:
                return self._search(place, segments, index, texts, method)
            literal, branches = place.literals.get(text), place.branches
            if not branches:
                if literal is None:
                    return self._match_mount(segments)
                place = literal
            elif literal is not None or len(branches) > 1:
                return self._search(place, segments, index, texts, method)
            else:
                found = branches[0].segment.match(text) if text else None
                if found is None:
                    return self._match_mount(segments)
                place, texts = branches[0].place, texts + found
            index += 1
        if place.rests:
            return self._search(place, segments, index, texts, method)
        match = None if place.end is None else place.end.match(method, texts)
        return self._match_mount(segments) if match is None else match

    def has_no_key(self, segments: tuple[str, ...]) -> bool:
        """
        Say whether a path always leads to the same, because no key is on the way.

        A user's converter may find something else each time.
        """
        return _is_literal(self._routes, segments) and _is_literal(self._mounts, segments)

    def _search(
        self,
        place: _Place[Leaf[T]],
        segments: tuple[str, ...],
        index: int,
        texts: tuple[str, ...],
        method: Method,
    ) -> Match[T] | Mismatch | None:
        """Try all templates below a place, to which the segments before the index have led."""
        for step, reached, keys in _steps(place, segments, index, texts):
            if step.end is not None and reached == len(segments):
                match = step.end.match(method, keys)
                if match is not None:
                    return match
        return self._match_mount(segments)

    def _match_mount(self, segments: tuple[str, ...]) -> Match[T] | None:
        place, start = self._mounts, 0
        longest: tuple[Target[T], int] | None = None
        while not (place.branches or place.rests):
            if place.end is not None:
                longest = place.end, start
            literal = None if start == len(segments) else place.literals.get(segments[start])
            if literal is None:
                return None if longest is None else longest[0].match((), segments[longest[1] :])
            place, start = literal, start + 1
        return self._search_mount(segments)

    def _search_mount(self, segments: tuple[str, ...]) -> Match[T] | None:
        reached = [step for step in _steps(self._mounts, segments) if step[0].end is not None]
        # The sort is stable, so steps of the same length stay in order of precedence.
        reached.sort(key=_length, reverse=True)
        for place, index, texts in reached:
            assert place.end is not None
            found = place.end.match(texts, segments[index:])
            if found is not None:
                return found
        return None


def _is_literal(place: _Place[Any], segments: tuple[str, ...]) -> bool:
    """Say whether only literals decide how far a path leads."""
    for segment in segments:
        if place.branches or place.rests:
            return False
        below = place.literals.get(segment)
        if below is None:
            return True
        place = below
    return not (place.branches or place.rests)


def _length(step: _Step[Any]) -> int:
    return step[1]


def _steps(
    root: _Place[E], segments: tuple[str, ...], start: int = 0, keys: tuple[str, ...] = ()
) -> Iterator[_Step[E]]:
    """
    Go through all places to which a beginning of the path leads, the most specific first.

    *start* segments have led to the *root*, and *keys* are the texts of the keys among them.

    The stack is a list and not a recursion, so a template with a thousand segments doesn't fail.
    No place is visited twice, so hostile paths can't make it slower than the tree is large.
    """
    stack: list[_Step[E]] = [(root, start, keys)]
    while stack:
        place, index, texts = stack.pop()
        yield place, index, texts
        # Last in, first out, so the least specific is pushed first.
        if place.rests and (index < len(segments) or not segments):
            stack.extend(_rest_steps(place, segments, index, texts))
        if index == len(segments):
            continue
        text = segments[index]
        # No key matches an empty segment, whatever its expression says: "/a//b" is not
        # "/a/{name}/b" with nothing for a name.
        if text:
            for branch in reversed(place.branches):
                found = branch.segment.match(text)
                if found is not None:
                    stack.append((branch.place, index + 1, texts + found))
        literal = place.literals.get(text)
        if literal is not None:
            stack.append((literal, index + 1, texts))


def _rest_steps(
    place: _Place[E], segments: tuple[str, ...], index: int, texts: tuple[str, ...]
) -> Iterator[_Step[E]]:
    rest = "/".join(segments[index:])
    for branch in reversed(place.rests):
        found = branch.segment.match(rest)
        if found is not None:
            yield branch.place, len(segments), texts + found
