from __future__ import annotations

from typing import Any

import pytest
import trio

from triows import Triows
from triows._exchange.registry import Exchange
from triows._inspection.inside import described, live, with_mounted


class Served:
    path = "/rooms/{room}"


class Lifetime:
    """Stands for one that is told of no drain."""


SCOPE = {"path": "/rooms/a\nb", "client": ("10.0.0.1\n", 1234)}


def exchange(*, is_connection: bool = True, scope: Any = SCOPE) -> Any:
    return Exchange(Lifetime(), Served(), scope, is_connection)


def prefixes(app: Triows) -> list[str]:
    return sorted(path for path, _ in with_mounted("", app._inside()))


def test_each_application_of_ours_is_found_at_its_path():
    outer, middle, inner = Triows(), Triows(), Triows()
    middle.mount("/inner", inner)
    outer.mount("/", middle)
    assert prefixes(outer) == ["", "", "/inner"]
    assert [one.exchanges for _, one in with_mounted("/at", inner._inside())] == [inner._exchanges]


def test_an_application_that_is_mounted_twice_or_in_a_circle_is_found_once():
    outer, inner = Triows(), Triows()
    outer.mount("/one", inner)
    outer.mount("/two", inner)
    inner.mount("/outer", outer)
    assert len(prefixes(outer)) == 2


def test_the_exchanges_of_all_of_them_are_live():
    outer, inner = Triows(), Triows()
    outer.mount("/in", inner)
    first, second = exchange(), exchange(is_connection=False)
    inner._exchanges.add(first)
    outer._exchanges.add(second)
    assert list(live(outer)) == [second, first]
    assert list(live(inner)) == [first]


@pytest.mark.parametrize(
    ("is_connection", "text"),
    [
        (True, r"the connection to /in/rooms/{room} from 10.0.0.1\n:1234"),
        (False, r"the request for /rooms/a\nb from 10.0.0.1\n:1234"),
    ],
)
def test_a_message_says_which_exchange_it_is_on_one_line(is_connection, text):
    assert described("/in", exchange(is_connection=is_connection)) == text


async def test_an_application_shows_whether_it_is_running():
    app = Triows()
    assert not app._inside().running
    async with app.running():
        assert app._inside().running
        await trio.lowlevel.checkpoint()
    assert app._inside().resources is app._resources
