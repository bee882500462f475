"""What the classes by which users register handlers have in common, whatever their kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from attrs import evolve

from triows._where import where
from triows.exceptions import RouteSetupError

from .mistakes import check_routes
from .names import check_name
from .node import Node, Registration
from .options import DepsList, RouteOptions, listed
from .template import Template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Self

    from .kind import Kind
    from .leaf import Method
    from .node import RouteDescription
    from .options import Dependency, MiddlewareFactory

    H = TypeVar("H", bound=Callable[..., Any])

__all__ = ["Registrar"]

#: The class of the routes below a route: the one that has the kind, not a subclass of a user.
RouteT = TypeVar("RouteT", bound="Registrar[Any]")


class Registrar(Generic[RouteT]):
    """
    Registers handlers of one kind on a node of the tree of routes.

    It has nothing but its node. A node may have registrars of several classes. They share its path,
    its settings and what is below it.

    A class of registrars sets ``_kind``, and is its own argument:
    ``class Route(Registrar["Route"])``.

    Args:
        path: A path template.
        deps: Factories for this node and those below.
        options: The other settings, by the names of :class:`.options.RouteOptions`.
    """

    #: What it registers.
    _kind: ClassVar[Kind]
    #: The class that has the kind.
    _plain: ClassVar[type[Any]]

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "_kind" in vars(cls):
            cls._plain = cls

    def __init__(self, path: str, *, deps: Iterable[Dependency] = (), **options: Any) -> None:
        own = Template.parse(path)
        own_deps = DepsList(
            deps, of=f" of the route '{own}'", users="no handler of that route or below it"
        )
        self._node = Node(own, RouteOptions.given(deps=own_deps, **options))
        self._node.registrars[type(self)] = self

    @classmethod
    def _on(cls, node: Node) -> Self:
        """Return the registrar of this class on a node. There is only one."""
        if cls not in node.registrars:
            made = cls.__new__(cls)
            made._node = node
            node.registrars[cls] = made
        found: Self = node.registrars[cls]
        return found

    def __repr__(self) -> str:
        handlers = "".join(f" {one.where}" for one in self._node.registrations)
        return f"<{type(self).__name__} {self.path!r}{handlers}>"

    @property
    def path(self) -> str:
        """The full path template, including the routes above."""
        return self._node.template.path

    @property
    def template(self) -> Template:
        """The full path template, parsed."""
        return self._node.template

    @property
    def subroutes(self) -> Sequence[RouteT]:
        """The routes directly below this one, in the order in which they were made."""
        return tuple(map(self._plain._on, self._node.children))

    def sub(self, path: str) -> RouteT:
        """
        Return the route below this one with that path. Make it if it doesn't exist.

        Args:
            path: What comes after this route's path.

        Raises:
            TemplateError: The path can't be read, or can't come after this one.
            RouteSetupError: The route doesn't exist, and this route is already part of an
                application.
        """
        below: RouteT = self._plain._on(self._node.sub(Template.parse(path)))
        return below

    def __truediv__(self, path: str) -> RouteT:
        return self.sub(path)

    def merge(self, *routes: Registrar[Any], parent_prefix: str | None = None) -> None:
        """
        Put copies of other routes, with everything below them, below this one.

        The other routes may be of either kind. They stay as they are, so you can merge them
        elsewhere or include them. What you register on them afterwards doesn't appear here. The
        settings of the routes above them apply to the copies, too.

        Args:
            routes: The other routes. They keep their own settings, below this route's.
            parent_prefix: The beginning of their paths, to leave out because this route stands for
                it.

        Raises:
            TemplateError: A path can't come after this one.
            RouteSetupError: A path does not begin with the prefix, or this route is already part
                of an application. Nothing is merged then.
        """
        check_routes(routes, Registrar, "merge")
        prefix = Template.parse(parent_prefix or "")
        self._node.merge([route._node for route in routes], prefix)

    def add_middleware(self, factory: MiddlewareFactory) -> None:
        """
        Add a middleware inside the middlewares that this route has.

        Raises:
            RouteSetupError: This route, or one below it, is already part of an application.
        """
        self._node.add_middleware(factory)

    def walk(self) -> Iterator[RouteDescription]:
        """Describe each handler here and below, with everything that applies to it."""
        return self._node.walk()

    def describe(self) -> list[RouteDescription]:
        """
        Describe each handler, as ``walk`` does, and refuse a route that has none.

        Raises:
            RouteSetupError: There is no handler.
        """
        descriptions = list(self.walk())
        if not descriptions:
            raise RouteSetupError(
                f"the route '{self.path}' has no handler, nor has one below it: "
                f"{self._kind.remedy} before the route is included"
            )
        return descriptions

    def own_deps(self) -> Iterator[DepsList]:
        """Yield each ``deps=`` that was given here or below, and not to a route above."""
        return self._node.own_deps()

    def freeze(self) -> None:
        """
        Accept no more changes, here and below. The application calls this, maybe twice.

        Raises:
            RouteSetupError: There is no handler.
        """
        self.describe()
        self._node.freeze()

    def _registering(
        self,
        methods: Iterable[Method],
        func: Callable[..., Any] | None,
        *,
        name: str | None,
        deps: Iterable[Dependency],
        **options: Any,
    ) -> Callable[[H], H]:
        """
        Check what was given to a decorator, and make the decorator.

        Args:
            methods: What a request has to ask the path for, one of them.
            func: What will be decorated, if it is known already.
            name: The name that was given, if one was.
            deps: Factories for this handler only.
            options: The other settings, by the names of :class:`.options.RouteOptions`.

        Raises:
            RouteSetupError: One of them got something that it doesn't take.
        """
        check_name(name, None if func is None else where(func))
        checked = RouteOptions.given(**options)
        factories = listed("deps", deps)

        def register(func: H) -> H:
            at = where(func)
            own = DepsList(factories, of="", users="nothing here", at=at)
            all_options = evolve(checked, deps=own.levels)
            self._node.register(
                Registration(self._kind, method, func, at, name, all_options) for method in methods
            )
            return func

        return register
