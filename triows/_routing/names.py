"""From the name of a route to its path: ``url_path_for``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from attrs import define, field, frozen
from starlette.convertors import CONVERTOR_TYPES
from starlette.datastructures import URLPath
from starlette.routing import NoMatchFound

from triows.exceptions import RouteConflictError, RouteSetupError

from .leaf import HANDSHAKE, Match

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .leaf import Method
    from .node import RouteDescription
    from .template import Key, Template
    from .tree import RouteTree

__all__ = ["NamedRoute", "RouteNames", "UnknownRoute", "check_name", "quoted"]

#: How many names an error lists.
_LISTED = 20

#: Another application's ``url_path_for``: takes a name and the parameters of a path.
Lookup: TypeAlias = Callable[..., URLPath]


class UnknownRoute(NoMatchFound):
    """No path can be made from a name and parameters. The message says what is needed."""

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)


def quoted(text: str) -> str:
    """Encode one segment of a path, including a slash in it (:rfc:`3986#section-3.3`, pchar)."""
    return quote(text, safe="!$&'()*+,;=:@")


def check_name(name: Any, at: str | None = None) -> None:
    """
    Refuse what can't be a name.

    Raises:
        RouteSetupError: It isn't a name, and isn't ``None``.
    """
    if name is not None and (not isinstance(name, str) or not name or ":" in name):
        raise RouteSetupError(
            f"name= takes a str without a colon, not {name!r}: a colon separates the name "
            "of a mount from that of a route in it",
            at,
        )


@frozen
class NamedRoute:
    """
    A route that can be found by its name.

    Attributes:
        description: Its name, its path, and so on.
        value: What the tree has for it.
    """

    description: RouteDescription
    value: Any

    @property
    def name(self) -> str:
        """Its name."""
        return self.description.name

    @property
    def template(self) -> Template:
        """The full path."""
        return self.description.template

    @property
    def where(self) -> str:
        """``file:line (name)`` of the handler."""
        return self.description.where

    @property
    def address(self) -> tuple[Template, str]:
        """What the URL says. It doesn't say the method, so all methods of a path may share it."""
        return self.template, self.description.kind.name


@frozen
class _NamedMount:
    name: str | None
    template: Template
    value: Any
    lookup: Lookup | None
    where: str | None


@define
class RouteNames:
    """
    The routes and mounts of an application by name.

    Args:
        tree: The tree in which each path is looked up before it is returned, so that no path leads
            to another route.
    """

    _tree: RouteTree[Any]
    _routes: dict[str, list[NamedRoute]] = field(factory=dict, init=False)
    _mounts: list[_NamedMount] = field(factory=list, init=False)

    def check(self, routes: Iterable[NamedRoute]) -> None:
        """
        Refuse names that were given twice.

        Raises:
            RouteConflictError: A name was given twice. The message names both places.
        """
        taken = {
            one.name: one
            for named in self._routes.values()
            for one in named
            if one.description.is_named
        }
        for route in routes:
            if not route.description.is_named:
                continue
            other = taken.setdefault(route.name, route)
            if other.address != route.address:
                raise RouteConflictError(
                    f"'{route.template}' is called {route.name!r}, and so is '{other.template}' "
                    f"at {other.where}: give each a name of its own",
                    route.where,
                )

    def add(self, routes: Iterable[NamedRoute]) -> None:
        """Add routes that have been checked."""
        for route in routes:
            self._routes.setdefault(route.name, []).append(route)

    def check_mount(self, template: Template, name: str | None, where: str | None) -> None:
        """
        Refuse a name that another mount has.

        Raises:
            RouteSetupError: Another mount has the name, or it can't be a name.
        """
        check_name(name, where)
        for other in self._mounts:
            if name is not None and other.name == name:
                at = f", which was mounted before at {other.where}" if other.where else ""
                raise RouteConflictError(
                    f"what is mounted at '{template}' is called {name!r}, and so is what is at "
                    f"'{other.template}'{at}: give each a name of its own",
                    where,
                )

    def mount(
        self,
        template: Template,
        value: Any,
        name: str | None,
        lookup: Lookup | None,
        where: str | None,
    ) -> None:
        """
        Add another application, whose name has been checked.

        Args:
            template: Where it is mounted.
            value: What the tree has for it.
            name: Comes before the names of its routes, with a colon. ``None`` for nothing.
            lookup: Its own ``url_path_for``; ``None`` if it has none.
            where: ``file:line (name)`` of the call that mounts it, for errors.
        """
        self._mounts.append(_NamedMount(name, template, value, lookup, where))

    def path_for(self, name: str, params: Mapping[str, Any]) -> URLPath:
        """
        Make the path of a route.

        Raises:
            NoMatchFound: No route has that name, or the parameters don't fit its path. The message
                says what is needed.
        """
        routes = self._routes.get(name, [])
        # A name that somebody gave takes precedence over the names of handlers.
        routes = [one for one in routes if one.description.is_named] or routes
        fitting = [one for one in routes if set(one.template.keys) == set(params)]
        if len({one.address for one in fitting}) == 1:
            route = fitting[0]
            path = _Path.of(route.template, params)
            self._check_leads(path, route.value, route.description.method)
            return URLPath(path.text, protocol=route.description.kind.name)
        if not fitting:
            found = self._path_in_mount(name, params)
            if found is not None:
                return found
        raise self._refusal(name, params, fitting or routes, is_ambiguous=bool(fitting))

    def _path_in_mount(self, name: str, params: Mapping[str, Any]) -> URLPath | None:
        for mount in self._mounts:
            if not set(mount.template.keys) <= set(params):
                continue
            rest = {key: one for key, one in params.items() if key not in mount.template.keys}
            prefix = _Path.of(mount.template, params)
            if mount.name is not None and name == mount.name and set(rest) == {"path"}:
                path = prefix.below(str(rest["path"]).removeprefix("/"))
                self._check_leads(path, mount.value)
                return URLPath(path.text)
            inner = name if mount.name is None else _below(name, mount.name)
            if mount.lookup is None or inner is None:
                continue
            try:
                found = mount.lookup(inner, **rest)
            except NoMatchFound:
                if mount.name is not None:
                    raise
                continue
            text = prefix.text + found if prefix.segments else found
            return URLPath(text, protocol=found.protocol, host=found.host)
        return None

    def _check_leads(self, path: _Path, value: Any, method: Method = HANDSHAKE) -> None:
        """Refuse a path that leads to another route, or to this one with other parameters."""
        match = self._tree.match(path.segments, method)
        if match is None:
            raise UnknownRoute(f"the parameters make the path '{path.text}', which leads nowhere")
        if not isinstance(match, Match) or match.value is not value:
            raise UnknownRoute(
                f"the parameters make the path '{path.text}', which leads to '{match.template}': "
                "use other values, or change one of the two templates"
            )
        if match.raw_params != path.texts:
            raise UnknownRoute(
                f"the parameters make the path '{path.text}', which is read as "
                f"{match.raw_params} and not as {path.texts}: use other values, or give each key "
                "a segment of its own"
            )

    def _refusal(
        self,
        name: str,
        params: Mapping[str, Any],
        routes: list[NamedRoute],
        *,
        is_ambiguous: bool,
    ) -> UnknownRoute:
        if is_ambiguous:
            places = ", ".join(f"'{one.template}' at {one.where}" for one in routes)
            return UnknownRoute(
                f"several routes are called {name!r} ({places}): give the one that you mean a "
                "name of its own, as in @route.endpoint(name=...) or @route.get(name=...)"
            )
        if not routes:
            return UnknownRoute(f"no route is called {name!r}: {self._known()}")
        needs = " or ".join(
            f"'{one.template}' needs {', '.join(one.template.keys) or 'no parameters'}"
            for one in routes
        )
        given = ", ".join(params) or "none"
        return UnknownRoute(
            f"{needs}, and given were: {given}. (Query parameters can be added to the URL: "
            "`.include_query_params(...)`.)"
        )

    def _known(self) -> str:
        names = sorted(
            {*self._routes, *(f"{mount.name}:..." for mount in self._mounts if mount.name)}
        )
        if not names:
            return "this application has no routes"
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        return (
            f"there are {', '.join(map(repr, names[:_LISTED]))}{more} (a route has its handler's "
            "name, or the name=... of its decorator)"
        )


def _below(name: str, mount: str) -> str | None:
    return name[len(mount) + 1 :] if name.startswith(f"{mount}:") else None


@frozen
class _Path:
    """A path with values for the keys of its template."""

    #: The path, decoded.
    segments: tuple[str, ...]
    #: The texts that the keys should match.
    texts: dict[str, str]

    @classmethod
    def of(cls, template: Template, params: Mapping[str, Any]) -> _Path:
        texts = {
            key.name: _text(key, params[key.name])
            for segment in template.segments
            for key in segment.keys
        }
        segments: list[str] = []
        for segment in template.segments:
            text = "".join(
                part if isinstance(part, str) else texts[part.name] for part in segment.parts
            )
            segments += text.split("/") if segment.is_rest else [text]
        return cls(tuple(segments), texts)._checked()

    def below(self, rest: str) -> _Path:
        return _Path((*self.segments, *rest.split("/")), self.texts)._checked()

    def _checked(self) -> _Path:
        for text in self.segments:
            if text in (".", ".."):
                raise UnknownRoute(
                    f"{text!r} can't be a segment of a path: clients resolve it before they ask"
                )
            try:
                text.encode()
            except UnicodeEncodeError:
                raise UnknownRoute(f"{text!r} can't be in a URL: it isn't valid text") from None
        return self

    @property
    def text(self) -> str:
        """The path, encoded."""
        path = "/" + "/".join(map(quoted, self.segments))
        # Two slashes at the beginning would be a host (RFC 3986 section 4.2).
        return "/%2F" + path[2:] if path.startswith("//") else path


def _text(key: Key, value: Any) -> str:
    """Return the text of a value in the path. The converter would read the value from it."""
    name = key.converter_name
    try:
        # Starlette's converter refuses a slash. Here it can be written as %2F.
        text = str(value) if name == "str" else key.converter.to_string(value)
        is_same = (
            value is not None
            and key.accepts(text)
            and (key.converter is not _BUILT_IN.get(name) or _is_same(key, text, value))
        )
    except (AssertionError, ArithmeticError, NotImplementedError, TypeError, ValueError) as exc:
        reason = str(exc) or type(exc).__name__
        raise UnknownRoute(f"{key.name}={value!r} does not fit {_braced(key)}: {reason}") from None
    if not is_same:
        raise UnknownRoute(f"{key.name}={value!r} does not fit {_braced(key)}")
    return text


_BUILT_IN = dict(CONVERTOR_TYPES)


def _is_same(key: Key, text: str, value: Any) -> bool:
    """Say whether the text keeps the whole value. An ``int`` would lose a fraction, for example."""
    return text == str(value) or key.converter.convert(text) == value


def _braced(key: Key) -> str:
    return f"{{{key.name}:{key.converter_name}}}"
