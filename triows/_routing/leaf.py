"""
What a path leads to: a WebSocket handler, handlers of HTTP methods, or both.

A path is matched first, and what the request asks for second, as in most routers. So a path has one
leaf: the most specific one. If that leaf doesn't have what is asked for, the answer is a
:class:`Mismatch`. The search does not go on to a less specific template, or to a mount: what a path
means must not depend on the method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from attrs import define, field, frozen
from starlette.convertors import StringConvertor

from triows.exceptions import RouteConflictError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .template import Key, Template

__all__ = ["HANDSHAKE", "Leaf", "Match", "Method", "Mismatch", "Target"]

T = TypeVar("T")

#: What a request asks a path for: an HTTP method, as it was sent, or a WebSocket. A WebSocket is
#: ``None`` and not a str, because a client may send any word as a method.
Method: TypeAlias = str | None

#: The :data:`Method` of a WebSocket's handshake.
HANDSHAKE: None = None


# Not frozen, because one is made for each request, and that takes twice as long.
@define
class Match(Generic[T]):
    """
    The result of looking up a path. Nobody changes it.

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


@frozen
class Mismatch:
    """
    The path leads to routes, but none of them has what the request asks for.

    A plain request has to be answered with 405 if there are methods, and an ``Allow`` that has all
    of them (:rfc:`9110#section-15.5.6`). It is answered with 426 only if a WebSocket is all there
    is, because no other method would help then. OPTIONS, which asks for the methods, is answered
    with the same ``Allow`` (:rfc:`9110#section-9.3.7`).

    Attributes:
        template: The template that matched.
        has_websocket: Whether the path has a WebSocket.
        methods: The HTTP methods that the path has, sorted, and those that are answered without a
            handler: HEAD if there is GET, and OPTIONS.
    """

    template: Template
    has_websocket: bool
    methods: tuple[str, ...]


@frozen(eq=False)
class Target(Generic[T]):
    """
    Where a template leads.

    Attributes:
        template: The template.
        value: What a match of it finds.
        where: ``file:line (name)`` of the user's function.
    """

    template: Template
    value: T
    where: str | None
    _keys: tuple[Key, ...] = field(init=False)

    # The names of the keys, if the value of each is its text.
    _names: tuple[str, ...] | None = field(init=False)

    @_keys.default
    def _keys_of_template(self) -> tuple[Key, ...]:
        return tuple(key for segment in self.template.segments for key in segment.keys)

    @_names.default
    def _names_of_texts(self) -> tuple[str, ...] | None:
        if any(type(key.converter) is not StringConvertor for key in self._keys):
            return None
        return tuple(key.name for key in self._keys)

    def match(self, texts: tuple[str, ...], remaining: tuple[str, ...] = ()) -> Match[T] | None:
        """
        Make the match of a path to which the template fits.

        Args:
            texts: The texts of the keys, in order.
            remaining: The segments that the template leaves over.

        Returns:
            ``None`` if a converter refuses its text with :exc:`ValueError`.
        """
        raw: dict[str, str] = {}
        params: dict[str, Any] = {}
        if not texts:
            return Match(self.value, self.template, raw, params, remaining)
        if self._names is not None:
            raw = dict(zip(self._names, texts, strict=True))
            return Match(self.value, self.template, raw, raw, remaining)
        try:
            for key, text in zip(self._keys, texts, strict=True):
                raw[key.name] = text
                params[key.name] = key.converter.convert(text)
        except ValueError:
            # `int` has a limit of 4300 digits; a user's converter may know which ids exist.
            return None
        return Match(self.value, self.template, raw, params, remaining)


@frozen(eq=False)
class Leaf(Generic[T]):
    """
    All targets of one path, by what a request may ask for.

    Their templates have the same shape, but each may have its own names for the keys.
    """

    _targets: Mapping[Method, Target[T]] = field(factory=dict)

    def with_target(self, method: Method, target: Target[T]) -> Leaf[T]:
        """
        Return a leaf that also has *target*.

        Raises:
            RouteConflictError: This one has a target for the same method.
        """
        if (other := self._targets.get(method)) is not None:
            refuse_second(target, other, method)
        return Leaf({**self._targets, method: target})

    def match(self, method: Method, texts: tuple[str, ...]) -> Match[T] | Mismatch | None:
        """
        Find what a request asks for.

        Args:
            method: What it asks for.
            texts: The texts of the keys, in order.

        Returns:
            ``None`` if this isn't the leaf of that path, because a converter refuses its text.
        """
        target = self._targets.get(method)
        if target is None and method == "HEAD":
            # It is answered as GET is, without the body (RFC 9110 section 9.3.2).
            target = self._targets.get("GET")
        return self._mismatch(texts) if target is None else target.match(texts)

    def _mismatch(self, texts: tuple[str, ...]) -> Mismatch | None:
        fitting = {
            method: target.template
            for method, target in self._targets.items()
            if target.match(texts) is not None
        }
        if not fitting:
            return None
        methods = {method for method in fitting if method is not None}
        if methods:
            methods |= {"OPTIONS", "HEAD"} if "GET" in methods else {"OPTIONS"}
        template = next(iter(fitting.values()))
        return Mismatch(template, HANDSHAKE in fitting, tuple(sorted(methods)))


def refuse_second(target: Target[Any], other: Target[Any], method: Method = HANDSHAKE) -> None:
    """
    Refuse a target where there is another one.

    Raises:
        RouteConflictError: Always. The message names both.
    """
    asked = f"{method} " if method else ""
    at = f" at {other.where}" if other.where else ""
    raise RouteConflictError(
        f"{asked}'{target.template}' matches the same paths as '{other.template}', which was "
        f"registered before{at}: change one of them, or remove it",
        target.where,
    )
