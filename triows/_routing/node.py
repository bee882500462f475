"""
The tree of the routes that the user writes, whatever their kind.

A :class:`Node` is a path with settings, handlers, and nodes below. It only describes: the
application takes a :class:`RouteDescription` of each handler, and freezes the nodes. The classes
that users see register handlers on a node (see :class:`.registrar.Registrar`), and those of several
kinds may share it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field, frozen

from triows._requires import note_registered
from triows._where import name_of
from triows.exceptions import RouteSetupError

from .options import RouteOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .kind import Kind
    from .leaf import Method
    from .options import DepsList, MiddlewareFactory
    from .template import Template

__all__ = ["Node", "Registration", "RouteDescription"]


@frozen
class RouteDescription:
    """
    A handler with all its settings: its own, and those of the routes above it.

    Attributes:
        template: The full path.
        kind: The kind of its route.
        method: What a request has to ask the path for.
        handler: The user's function, unchanged.
        where: ``file:line (name)`` of the handler.
        name: The name by which ``url_path_for`` finds it: the handler's, if no other was given.
        is_named: Whether another name was given.
        options: All settings.
    """

    template: Template
    kind: Kind
    method: Method
    handler: Callable[..., Any]
    where: str
    name: str
    is_named: bool
    options: RouteOptions


@frozen
class Registration:
    """
    A handler as it was registered at a node.

    Attributes:
        kind: The kind of its route.
        method: What a request has to ask the path for.
        handler: The user's function, unchanged.
        where: ``file:line (name)`` of the handler.
        name: The name that was given, if one was.
        options: The settings of the handler alone.
    """

    kind: Kind
    method: Method
    handler: Callable[..., Any]
    where: str
    name: str | None
    options: RouteOptions

    def described(self, template: Template, above: RouteOptions) -> RouteDescription:
        """
        Describe it with everything that applies to it.

        Args:
            template: The full path.
            above: The settings of its node and those above.
        """
        return RouteDescription(
            template=template,
            kind=self.kind,
            method=self.method,
            handler=self.handler,
            where=self.where,
            name=self.name or name_of(self.handler).rpartition(".")[2],
            is_named=self.name is not None,
            options=self.options.below(above),
        )


@define(eq=False)
class Node:
    """
    A path, its settings, its handlers, and the nodes below it.

    Attributes:
        own: Its own piece of the path.
        options: Its own settings, which also apply to everything below it.
        parent: The node above it.
        brought: The settings that it brought along from where it was merged from. They come between
            those of the parent and its own.
        template: The full path.
        children: The nodes directly below it, in the order in which they were made.
        registrars: The objects by which users register handlers here, one for each class.
    """

    own: Template
    options: RouteOptions = field(factory=RouteOptions)
    parent: Node | None = None
    brought: RouteOptions = field(factory=RouteOptions)
    template: Template = field(init=False)
    children: list[Node] = field(factory=list, init=False)
    registrars: dict[type, Any] = field(factory=dict, init=False)
    _registrations: dict[Method, Registration] = field(factory=dict, init=False)
    _is_frozen: bool = field(default=False, init=False)

    @template.default
    def _full_path(self) -> Template:
        return self.own if self.parent is None else self.parent.template.join(self.own)

    @property
    def registrations(self) -> tuple[Registration, ...]:
        """The handlers of this path, in the order of their registration."""
        return tuple(self._registrations.values())

    def register(self, registrations: Iterable[Registration]) -> None:
        """
        Add a handler, for one method or several, or for none of them.

        Raises:
            RouteSetupError: It can't be a handler, the path has one for the same method, or this
                node is part of an application.
        """
        added = list(registrations)
        for new in added:
            self._check(new)
        for new in added:
            note_registered(new.handler)
            self._registrations[new.method] = new

    def _check(self, new: Registration) -> None:
        self._check_open("a handler", new.where)
        new.kind.check_handler(new.handler, new.where)
        other = self._registrations.get(new.method)
        if other is not None:
            asked = f" for {new.method}" if new.method else ""
            raise RouteSetupError(
                f"'{self.template}' has a handler{asked} already, at {other.where}: make one of "
                "the two, or give each a path of its own",
                new.where,
            )

    def sub(self, own: Template) -> Node:
        """
        Return the node directly below this one with that path. Make it if it doesn't exist.

        Raises:
            TemplateError: The path can't come after this one.
            RouteSetupError: The node doesn't exist, and this one is part of an application.
        """
        for child in self.children:
            if child.own == own:
                return child
        self._check_open(f"the sub-route '{own}'")
        child = Node(own, parent=self)
        self.children.append(child)
        return child

    def merge(self, nodes: Iterable[Node], prefix: Template) -> None:
        """
        Put copies of other nodes, with everything below them, below this one.

        Args:
            nodes: The other nodes, which stay as they are.
            prefix: The beginning of their paths, to leave out.

        Raises:
            TemplateError: A path can't come after this one.
            RouteSetupError: A path does not begin with the prefix, or this node is part of an
                application. Nothing is merged then.
        """
        self._check_open("merged routes")
        # Make all copies before any of them is added. So an error leaves nothing behind, and a
        # node can be merged below itself.
        copies = [node._merged_below(self, prefix) for node in nodes]
        self.children.extend(copies)

    def add_middleware(self, factory: MiddlewareFactory) -> None:
        """
        Add a middleware inside those that this node has.

        Raises:
            RouteSetupError: This node, or one below it, is part of an application.
        """
        # A node below may have been included alone, and then it already knows what is above it.
        for node in self.nodes():
            node._check_open("a middleware")
        middlewares = (*self.options.middlewares, factory)
        self.options = evolve(self.options, middlewares=middlewares)

    def nodes(self) -> Iterator[Node]:
        """Yield this node and all nodes below it, each before those below it."""
        yield self
        for child in self.children:
            yield from child.nodes()

    def walk(self) -> Iterator[RouteDescription]:
        """Describe each handler here and below, with everything that applies to it."""
        for node in self.nodes():
            for registration in node._registrations.values():
                yield registration.described(node.template, node.resolved())

    def own_deps(self) -> Iterator[DepsList]:
        """Yield each ``deps=`` that was given here or below, and not to a node above."""
        for node in self.nodes():
            yield from node.options.deps
            for registration in node._registrations.values():
                yield from registration.options.deps

    def resolved(self) -> RouteOptions:
        """Return the settings that apply here: its own, and those of the nodes above it."""
        return self.options.below(self._inherited())

    def freeze(self) -> None:
        """Accept no more changes, here and below."""
        for node in self.nodes():
            node._is_frozen = True

    def _inherited(self) -> RouteOptions:
        return self.brought.below(self.parent.resolved()) if self.parent else self.brought

    def _check_open(self, what: str, at: str | None = None) -> None:
        if self._is_frozen:
            raise RouteSetupError(
                f"{what} can't be added to '{self.template}', which is part of an application "
                "already: register everything before including the route",
                at,
            )

    def _merged_below(self, parent: Node, prefix: Template) -> Node:
        own = self.template.relative_to(prefix)
        if own is None:
            raise RouteSetupError(
                f"'{self.template}' does not begin with parent_prefix '{prefix}': leave the "
                "argument out, or merge this route in a call of its own"
            )
        # A merged node leaves its parents, but keeps what protects it there.
        return self._copied(parent, own, self._inherited())

    def _copied(self, parent: Node, own: Template, brought: RouteOptions) -> Node:
        """Make a copy that knows *parent*, but not the reverse."""
        copy = Node(own, self.options, parent, brought)
        copy._registrations.update(self._registrations)
        copy.children += [child._copied(copy, child.own, child.brought) for child in self.children]
        return copy
