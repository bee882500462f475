"""
What handlers of one kind of route may ask for, and how messages speak of it.

Nothing else here knows which kinds there are. Each of them is a :class:`RouteKind`, which whoever
compiles its routes hands to the :class:`.planner.Planner`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from .marks import without_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

__all__ = ["APP", "NAMES_OF_ALL", "NURSERY", "BodyKind", "Given", "RouteKind", "given_for"]


@frozen(eq=False)
class Given:
    """
    A value that a handler gets because it asks for the value's type.

    Args:
        name: What messages call it.
        in_app: Whether there is one for the whole application. Factories with ``scope="app"`` can
            ask for it, too.
    """

    name: str
    in_app: bool = False
    #: If it reads the body of the request as it comes, so that nothing else can read it: how, for
    #: messages.
    takes_body: str = ""


@frozen(eq=False)
class BodyKind:
    """
    How the body of a request becomes arguments.

    Args:
        decoder: Makes the decoder for a type, for what makes the value if there is no body, if it
            isn't required, and for the application's own function that takes the bytes, if there
            is one. It raises :exc:`TypeError`, with a text that says why, if no body can be made
            into that type.
        file: The class of a file in a form.
    """

    decoder: Callable[[Any, Callable[[], Any] | None, Callable[[Any], Any] | None], Any]
    file: type


# Handlers of every kind can ask for these.
NURSERY = Given("nursery")
APP = Given("application", in_app=True)

#: The names by which people and other libraries call those, and what to write instead.
NAMES_OF_ALL = {
    "nursery": "trio.Nursery",
    "app": "Triows",
    "TaskGroup": "trio.Nursery",
    "Starlette": "Triows",
    "FastAPI": "Triows",
    "Lihil": "Triows",
}


@frozen(eq=False)
class RouteKind:
    """
    A kind of route.

    Args:
        noun: What messages call what a handler serves, such as "connection".
        givens: What a handler, or a factory for it, gets by asking for a type.
        names: Other names for these types, and what to write instead: names that people give to
            parameters, and names of the classes of other libraries.
        unmistakable: Of these names, the ones that hardly anybody gives to a parameter that comes
            from the request.
        remedies: Names of classes that nothing makes, and a sentence that says what to do.
        no_body: The sentence that says why a class can't be made from a body.
        body: How the body is read, if there may be one.
        has_results: Whether what a handler returns means something. Who compiles the handlers then
            checks their return annotations.
    """

    noun: str
    givens: Mapping[type, Given]
    names: Mapping[str, str]
    unmistakable: Collection[str]
    no_body: str
    remedies: Mapping[str, str] = field(factory=dict)
    body: BodyKind | None = None
    has_results: bool = False


def given_for(givens: Mapping[Any, Given], annotation: Any) -> Given | None:
    """Return the given that an annotation asks for, if it asks for one."""
    try:
        return givens.get(without_metadata(annotation))
    except TypeError:  # an annotation that can't be hashed
        return None
