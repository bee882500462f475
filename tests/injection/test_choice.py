"""Which factory makes a parameter, and whether it makes what the parameter asks for."""

import abc
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Generic, Protocol, TypeVar

import pytest

from tests.injection.kinds import WEBSOCKETS
from triows import WebSocket, use
from triows._injection.asker import Asker
from triows._injection.choice import agreed, check_shared, chosen
from triows._injection.providers import providers
from triows.exceptions import DependencyError, MissingProviderError

T = TypeVar("T")


class Animal: ...


class Dog(Animal): ...


class Repo(Generic[T]): ...


class Speaks(Protocol): ...


class Abstract(abc.ABC):
    @abc.abstractmethod
    def speak(self) -> str: ...


async def handler(animal: Animal): ...


ASKER = Asker(handler, (handler,))


def choose(annotation, mark=None, deps=()):
    return chosen(ASKER, "animal", annotation, mark or use(), providers(deps), WEBSOCKETS.givens)


def agree(annotation, factory):
    return agreed(ASKER, "animal", annotation, factory, {})


# Which one


def test_the_factory_in_the_mark_is_the_one_that_is_meant():
    def make() -> Dog: ...

    mark = use(make, reuse=True)
    assert choose(Animal, mark) == (mark, {})


def test_a_generic_function_makes_the_type_that_is_asked_for():
    def make(cls: type[T]) -> Repo[T]: ...

    assert choose(Repo[int], use(make)) == (use(make), {T: int})


def test_use_alone_means_a_factory_from_deps_with_the_options_of_both():
    def make() -> Dog: ...

    mark, _ = choose(Dog, use(reuse=True), deps=[use(make, scope="app")])
    assert (mark.factory, mark.reuse, mark.scope) == (make, True, "app")


def test_use_alone_takes_a_factory_of_a_subclass_before_the_class_itself():
    def make() -> Dog: ...

    assert choose(Animal, deps=[make])[0].factory is make


@pytest.mark.parametrize("cls", [Animal, Repo[int]])
def test_use_alone_means_the_class_if_there_is_no_factory(cls: Any):
    assert choose(cls)[0].factory == cls


@pytest.mark.parametrize("annotation", [list[int], int | None, Speaks, Abstract, WebSocket, "text"])
def test_what_can_not_be_called_needs_a_factory(annotation: Any):
    with pytest.raises(MissingProviderError, match=r"write use\(factory\)") as caught:
        choose(annotation)
    assert caught.value.chain == ("handler",)


def test_what_is_no_factory_is_refused():
    with pytest.raises(DependencyError, match="`animal` has use"):
        choose(Animal, use(7))  # type: ignore[arg-type]


def test_a_generic_function_has_no_single_value_for_the_application():
    def make(cls: type[T]) -> Repo[T]: ...

    check_shared(ASKER, make, {})
    check_shared(ASKER, Repo[int], {T: int})
    with pytest.raises(DependencyError, match="write a function for each type"):
        check_shared(ASKER, make, {T: int})


# What it makes


def test_the_narrower_of_the_two_types_is_what_values_have_to_be():
    def narrow() -> Dog: ...

    def wide() -> Animal: ...

    assert agree(Animal, narrow) == (Dog,)
    assert agree(Dog, wide) == (Dog,)


def test_what_only_one_side_says_counts():
    def unknown(): ...

    def anything() -> Any: ...

    def dog() -> Dog: ...

    assert agree(Animal, unknown) == (Animal,)
    assert agree(Animal, anything) == (Animal,)
    assert agree(Any, dog) == (Dog,)
    assert agree(Any, unknown) is None


def test_a_factory_of_another_type_is_refused_with_both_ways_out():
    def make() -> str: ...

    with pytest.raises(DependencyError, match=r"asks for Animal, and .*make makes str"):
        agree(Animal, make)


def test_a_value_that_nobody_would_enter_is_refused_unless_it_is_asked_for():
    async def make() -> contextlib.AbstractAsyncContextManager[Dog]: ...

    async def iterate() -> AsyncIterator[Dog]: ...

    with pytest.raises(DependencyError, match="without being entered"):
        agree(Dog, make)
    assert agree(AsyncIterator[Dog], iterate) == (AsyncIterator,)
