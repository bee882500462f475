"""The function that asks for a value is named in every message about the value."""

import inspect
import json

import pytest

from triows._injection.asker import Asker
from triows._where import name_of, where
from triows.exceptions import DependencyError, HandlerSignatureError


async def handler(session: str): ...


def session(database: str): ...


def named(call, *names):
    parameters = inspect.signature(call).parameters
    return [parameters[name] for name in names]


def test_it_is_known_by_its_name_and_place():
    asker = Asker(session, (handler, session))
    assert asker.name == "session"
    assert asker.where == where(session)
    assert asker.chain == ("handler", "session")


def test_a_misuse_has_the_place_and_who_asked_for_one_another():
    error = Asker(session, (handler, session)).misuse("it can't be used")
    assert isinstance(error, DependencyError)
    assert (error.where, error.chain) == (where(session), ("handler", "session"))


def test_the_fake_is_named_in_the_place_of_the_factory_and_the_factory_in_the_chain():
    def fake(): ...

    asker = Asker(fake, (handler, session))
    assert asker.name == name_of(fake)
    assert asker.chain == ("handler", "session")


def test_the_users_own_function_is_to_be_mended_and_a_librarys_to_be_called():
    assert Asker(session, (session,)).remedy("do this") == "do this"
    assert "belongs to a library" in Asker(json.loads, (json.loads,)).remedy("do this")


def test_a_site_begins_the_remedy_with_the_parameters_name():
    site = Asker(session, (session,)).site("database")
    assert (site.label, site.where, site.name) == ("`database`", where(session), "database: ")


def test_parameters_that_can_be_passed_by_name_are_accepted():
    def both(a: int, *, b: int): ...

    for parameter in named(both, "a", "b"):
        Asker(both, (both,)).check_by_name(parameter)


@pytest.mark.parametrize("name", ["first", "args", "kwargs"])
def test_parameters_that_can_not_be_passed_by_name_are_refused(name):
    def mixed(first: int, /, *args: int, **kwargs: int): ...

    (parameter,) = named(mixed, name)
    with pytest.raises(HandlerSignatureError, match="can't be filled by name") as caught:
        Asker(mixed, (mixed,)).check_by_name(parameter)
    assert caught.value.where == where(mixed)
