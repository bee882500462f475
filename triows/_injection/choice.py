"""
Chooses the factory that makes a parameter, and checks that it makes what the parameter asks for.

A parameter and its mark come in. A factory comes out, with the classes of which its values have to
be instances.
"""

from __future__ import annotations

import inspect
from types import UnionType
from typing import TYPE_CHECKING, Any, get_origin

from attrs import evolve

from triows._annotations import type_name
from triows._where import name_of
from triows.exceptions import MissingProviderError
from triows.types import UseMark

from .advice import disagreement
from .factories import UNKNOWN, agree, instance_types, made_type, unopened
from .marks import unmarked, without_metadata
from .providers import check_factory, specialised
from .signatures import Types, is_protocol, parameters_of, signature_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from .asker import Asker
    from .providers import Providers

__all__ = ["agreed", "check_shared", "chosen"]


def chosen(
    asker: Asker,
    name: str,
    annotation: Any,
    mark: UseMark,
    providers: Providers,
    givens: Collection[Any],
) -> tuple[UseMark, Types]:
    """
    Choose the factory that a mark means, and say what its type variables stand for.

    Args:
        asker: The function whose parameter it is.
        name: The parameter's name.
        annotation: Its type.
        mark: What ``use`` has made.
        providers: What ``deps=`` gives.
        givens: The types that the connection itself gives.

    Raises:
        DependencyError: There is no such factory, or it can't be used.
    """
    if mark.factory is None:
        return _found_by_type(asker, name, annotation, mark, providers, givens)
    check_factory(mark.factory, f"`{name}` has use({mark.factory!r})", asker.where, asker.chain)
    made = made_type(mark.factory, signature_of(mark.factory).return_annotation)
    return specialised(mark, made, annotation)


def _found_by_type(
    asker: Asker,
    name: str,
    annotation: Any,
    mark: UseMark,
    providers: Providers,
    givens: Collection[Any],
) -> tuple[UseMark, Types]:
    """Find what ``use()`` alone means: a factory from ``deps=``, or the class itself."""
    found = providers.find(annotation, asker.where)
    found = found or providers.find_below(annotation, asker.where)
    if found is not None:
        provider, types = found[0].mark, found[1]
        # The parameter's mark may add to what the provider's own mark says.
        scope = mark.scope if provider.scope == "connection" else provider.scope
        until = mark.until or provider.until
        return UseMark(provider.factory, mark.reuse or provider.reuse, scope, until), types
    cls = without_metadata(annotation)
    if _is_class_to_call(cls, givens):
        return evolve(mark, factory=cls), {}
    raise MissingProviderError(
        f"`{name}` has use() without a factory, none in deps= makes {type_name(annotation)}, "
        "and that can't be called itself: write use(factory)",
        asker.where,
        asker.chain,
    )


def _is_class_to_call(annotation: Any, givens: Collection[Any]) -> bool:
    cls = _origin(annotation)
    return (
        isinstance(cls, type)
        and cls is not UnionType
        # Repo[int] can be called, as Repo can. list[int] could be, too, but nobody wants an empty
        # list.
        and (cls is annotation or bool(parameters_of(cls)))
        and cls not in givens
        and not inspect.isabstract(cls)
        and not is_protocol(cls)
    )


def check_shared(asker: Asker, factory: Any, types: Types) -> None:
    """
    Refuse a generic function with ``scope="app"``, because it would make one value for all types.

    Raises:
        DependencyError: The factory is a generic function.
    """
    # Repo[int] and Repo[str] are different factories. A generic function is only one.
    if types and not isinstance(get_origin(factory) or factory, type):
        raise asker.misuse(
            f"{name_of(factory)} makes a type for each parameter that asks for it, and lives "
            "as long as the application: write a function for each type"
        )


def agreed(
    asker: Asker, name: str, annotation: Any, factory: Any, types: Types
) -> tuple[type, ...] | None:
    """
    Return the classes of which the factory's values have to be instances.

    Raises:
        DependencyError: The factory does not make the annotated type.
    """
    made = unmarked(made_type(factory, signature_of(factory, types).return_annotation))[0]
    wanted = instance_types(annotation)
    problem = None if made is UNKNOWN else unopened(factory, made)
    have = None if made is UNKNOWN or problem else instance_types(made)
    if problem and wanted is not None and not issubclass(_origin(made), wanted):
        raise asker.misuse(problem)
    if have is None or wanted is None:
        return wanted or have
    if not agree(have, wanted):
        raise asker.misuse(disagreement(name, annotation, factory, made))
    return have if all(issubclass(one, wanted) for one in have) else wanted


def _origin(annotation: Any) -> Any:
    annotation = without_metadata(annotation)
    return get_origin(annotation) or annotation
