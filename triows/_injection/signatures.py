"""
Reading a signature: evaluate annotations, resolve names for types, replace type variables.

Functions come in, however they are wrapped. An :class:`inspect.Signature` comes out, in which no
annotation is a string or an alias.
"""

from __future__ import annotations

import functools
import inspect
import site
import sys
import sysconfig
from collections import ChainMap
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ForwardRef,
    Literal,
    Self,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

from attrs import frozen

from triows._where import name_of, where
from triows.exceptions import HandlerSignatureError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import UnionType
else:
    from types import UnionType

__all__ = [
    "Types",
    "Unresolved",
    "is_protocol",
    "library_remedy",
    "parameters_of",
    "resolved",
    "signature_of",
    "type_variables",
    "unresolved_in",
]

#: The types that take the place of type variables.
Types = dict[Any, Any]


@frozen
class Unresolved:
    """A return annotation that can't be evaluated. Not every caller needs it."""

    name: str


def signature_of(call: Any, types: Mapping[Any, Any] | None = None) -> inspect.Signature:
    """
    Read a signature, without the arguments that :func:`functools.partial` has bound.

    Args:
        call: The function, class or other callable. A generic class may have its arguments.
        types: The types that take the place of a generic function's type variables.

    Raises:
        HandlerSignatureError: The signature can't be read, or the annotation of a parameter can't
            be evaluated. A return annotation that can't be evaluated becomes an
            :class:`Unresolved`.
    """
    cls = get_origin(call) or call
    try:
        found = inspect.signature(_initializer(cls))
    except (TypeError, ValueError, AttributeError) as exc:
        raise HandlerSignatureError(
            f"the signature of {name_of(call)} can't be read ({exc}): {_factory_for(call)}",
            where(call),
        ) from None
    reader = _Reader(call, _namespace(cls), {**type_variables(call), **(types or {})})
    bound = _bound(call)
    # inspect lists what a partial has bound by name as a parameter with a default.
    parameters = [
        one.replace(annotation=reader.read(one.annotation))
        for one in found.parameters.values()
        if one.name not in bound
    ]
    return found.replace(
        parameters=parameters, return_annotation=reader.read_return(found.return_annotation)
    )


def _initializer(call: Any) -> Any:
    """Find the function that has the signature. For a protocol's subclass, search its bases."""
    if not isinstance(call, type) or getattr(call.__init__, "__module__", "") != "typing":  # type: ignore[misc]
        return call
    # Until its first call, such a class has an __init__ of typing's that takes anything.
    methods = (base.__dict__.get("__init__") for base in call.__mro__)
    own = next(one for one in methods if one and getattr(one, "__module__", "") != "typing")
    return functools.partial(own, None) if inspect.isfunction(own) else _takes_nothing


def _takes_nothing() -> None: ...


def _bound(call: Any) -> set[str]:
    """Return the names of the arguments that :func:`functools.partial` has bound."""
    names: set[str] = set()
    call = inspect.unwrap(call)
    while isinstance(call, functools.partial):
        names |= call.keywords.keys()
        call = inspect.unwrap(call.func)
    return names


def _namespace(call: Any) -> Mapping[str, Any]:
    """Return the names with which the annotations of *call* are evaluated."""
    if isinstance(call, type):
        sources = [call.__init__, call.__new__]  # type: ignore[misc]
    elif inspect.isroutine(call) or isinstance(call, functools.partial):
        sources = [call]
    else:
        sources = [call, type(call).__call__]
    spaces = [space for source in sources for space in _spaces(source)]
    return ChainMap(*spaces, *_spaces(call))


def _spaces(function: Any) -> list[dict[str, Any]]:
    """List the namespaces of a function and of what it wraps, the nearest first."""
    spaces = []
    while function is not None:
        spaces.append({one.__name__: one for one in getattr(function, "__type_params__", ())})
        spaces.append(getattr(function, "__globals__", {}))
        module = getattr(function, "__module__", None)
        if isinstance(module, str) and module in sys.modules:
            spaces.append(vars(sys.modules[module]))
        if isinstance(function, functools.partial):
            function = function.func
        else:
            function = getattr(function, "__func__", None) or getattr(function, "__wrapped__", None)
    return spaces


@frozen
class _Reader:
    """Evaluates the annotations of one function."""

    call: Any
    namespace: Mapping[str, Any]
    types: Types

    def read(self, annotation: Any) -> Any:
        try:
            return resolved(annotation, self.namespace, self.types)
        except NameError as exc:
            raise HandlerSignatureError(
                f"the annotation {exc.name!r} can't be resolved: {_remedy(self.call)}",
                where(self.call),
            ) from None
        except Exception as exc:  # noqa: BLE001 - an expression may raise anything
            raise HandlerSignatureError(
                f"its signature can't be read: the annotation {annotation!r} isn't a type "
                f"({type(exc).__name__}: {exc})",
                where(self.call),
            ) from None

    def read_return(self, annotation: Any) -> Any:
        try:
            return resolved(annotation, self.namespace, self.types)
        except NameError as exc:
            return Unresolved(exc.name or str(annotation))
        except Exception:  # noqa: BLE001 - it will be raised again
            return self.read(annotation)


def _remedy(call: Any) -> str:
    """Say what to do about a name that doesn't exist when annotations are evaluated."""
    if (of_library := library_remedy(call)) is not None:
        return of_library
    if "__signature__" in getattr(call, "__dict__", {}) and not isinstance(call, type):
        return (
            "it comes from the __signature__ that a decorator has set: let the decorator use "
            "functools.wraps, or inspect.signature(function, eval_str=True)"
        )
    own = (
        "define or import it at module level, not under TYPE_CHECKING or inside a function; names "
        "of a function are found if the module does without `from __future__ import annotations`"
    )
    is_class = isinstance(get_origin(call) or call, type)
    return f"{own}. If {name_of(call)} isn't yours, {_factory_for(call)}" if is_class else own


def library_remedy(call: Any) -> str | None:
    """Say what to do about a library's function that can't be used as it is."""
    if not _is_installed(call):
        return None
    return f"{name_of(call)} belongs to a library, so {_factory_for(call)}"


def _factory_for(call: Any) -> str:
    name = name_of(call)
    returned = f" -> {name}" if isinstance(get_origin(call) or call, type) else ""
    return (
        f"write a factory of your own, such as `def make(){returned}: return {name}(...)`, and "
        "give that"
    )


@functools.lru_cache(maxsize=1)
def _library_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    known = [paths["stdlib"], paths["purelib"], paths["platlib"], *site.getsitepackages()]
    return (*known, site.getusersitepackages())


def _is_installed(call: Any) -> bool:
    """Say whether its source is in the standard library or installed, and not the user's own."""
    module = sys.modules.get(getattr(call, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    return file is not None and file.startswith(_library_folders())


# Types


def is_alias(annotation: Any) -> bool:
    """Say whether it is an alias made by a ``type`` statement, or by its backport."""
    return type(annotation).__name__ == "TypeAliasType"


def resolved(
    annotation: Any,
    names: Mapping[str, Any] | None = None,
    types: Mapping[Any, Any] | None = None,
    _within: tuple[Any, ...] = (),
) -> Any:
    """
    Return the type that an annotation means, at every depth.

    This evaluates strings, and replaces type variables and the aliases of ``type`` statements. If
    a string inside a type can't be evaluated, it stays a :class:`typing.ForwardRef`. If an alias
    contains itself, it stays an alias there.

    Args:
        annotation: The annotation as it was written.
        names: The names that strings may use.
        types: The types that take the place of type variables, and of ``Self``.

    Raises:
        Exception: Evaluating it raised this. It is :exc:`NameError` if a name doesn't exist.
    """
    names, types = names or {}, types or {}

    def again(inner: Any) -> Any:
        return resolved(inner, names, types, _within)

    if isinstance(annotation, str):
        return again(eval(annotation, {}, names))
    if isinstance(annotation, ForwardRef):
        try:
            return again(annotation.__forward_arg__)
        except NameError:
            return annotation
    if isinstance(annotation, TypeVar) or annotation is Self:
        return types.get(annotation, annotation)
    alias = annotation if is_alias(annotation) else get_origin(annotation)
    if is_alias(alias):
        if alias in _within:
            return annotation
        arguments = map(again, get_args(annotation))
        inside = dict(zip(alias.__type_params__, arguments, strict=False))
        module = vars(sys.modules.get(alias.__module__) or object)
        return resolved(alias.__value__, module, inside, (*_within, alias))
    return _rebuilt(annotation, again)


def _rebuilt(annotation: Any, change: Callable[[Any], Any]) -> Any:
    """Return a type with other arguments, or the same object if none has changed."""
    origin, args = get_origin(annotation), get_args(annotation)
    if not args or origin is Literal or any(isinstance(arg, list) for arg in args):
        return annotation
    if origin is Annotated:
        inner = change(args[0])
        return annotation if inner is args[0] else Annotated[(inner, *args[1:])]
    changed = tuple(arg if arg is ... else change(arg) for arg in args)
    if all(new is old for new, old in zip(changed, args, strict=True)):
        return annotation
    if origin is Union or origin is UnionType:
        return Union[changed]  # noqa: UP007 - `|` can't join a list of members
    copy_with = getattr(annotation, "copy_with", None)
    return origin[changed] if copy_with is None else copy_with(changed)


def unresolved_in(annotation: Any) -> str | None:
    """Return the name in a type that could not be evaluated, if there is one."""
    if isinstance(annotation, ForwardRef):
        return annotation.__forward_arg__
    if isinstance(annotation, Unresolved):
        return annotation.name
    parts = get_args(annotation) if get_origin(annotation) is not Literal else ()
    inner = parts[:1] if get_origin(annotation) is Annotated else parts
    return next((name for part in inner if (name := unresolved_in(part)) is not None), None)


def type_variables(annotation: Any) -> Types:
    """
    Return the types that take the place of the type variables of a generic class and its bases.

    For example, ``class Users(Repo[User])`` gives one to ``Repo``'s variable, and so does
    ``Repo[User]``.
    """
    cls = get_origin(annotation) or annotation
    if not isinstance(cls, type):
        return {}
    own = dict(zip(parameters_of(cls), get_args(annotation), strict=False))
    found: Types = {}
    for base in reversed(getattr(cls, "__orig_bases__", ())):
        found.update(type_variables(resolved(base, types=own)))
    return {**found, **own}


def parameters_of(cls: Any) -> tuple[Any, ...]:
    """Return the type variables of a generic class."""
    found = getattr(cls, "__parameters__", ())
    return found if isinstance(found, tuple) else ()


def is_protocol(cls: Any) -> bool:
    """Say whether a class is itself a protocol, and not only a class that implements one."""
    return bool(cls.__dict__.get("_is_protocol", False)) if isinstance(cls, type) else False
