"""What an application shows of itself, and of those that are mounted in it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from triows._inspection.inside import Inside, described, live, with_mounted


class App:
    """An application with some exchanges."""

    def __init__(self, *exchanges, **mounted) -> None:
        below = {f"/{path}": app for path, app in mounted.items()}
        self.inside = Inside(True, list(exchanges), None, below, list)

    def _inside(self) -> Inside:
        return self.inside


def exchange(*, connection: bool, path="/rooms/7"):
    return SimpleNamespace(
        is_connection=connection,
        served=SimpleNamespace(path="/rooms/{room}"),
        scope={"path": path, "client": ("10.0.0.1", 1234)},
    )


def test_an_application_comes_before_those_in_it_which_have_their_paths():
    inner = App()
    middle = App(inner=inner)
    outer = App(middle=middle)
    found = list(with_mounted("", outer.inside))
    assert found == [
        ("", outer.inside),
        ("/middle", middle.inside),
        ("/middle/inner", inner.inside),
    ]


def test_one_that_is_mounted_twice_comes_once():
    inner = App()
    outer = App(a=inner, b=inner)
    assert [inside for _, inside in with_mounted("", outer.inside)].count(inner.inside) == 1


def test_one_that_is_mounted_in_itself_comes_once():
    app = App()
    app.inside.mounted["/again"] = app
    assert len(list(with_mounted("", app.inside))) == 1


def test_the_live_exchanges_are_those_of_all():
    outer = App("one", inner=App("two", "three"))
    assert list(live(outer)) == ["one", "two", "three"]


def test_a_connection_is_described_by_its_route():
    text = described("/api", exchange(connection=True))
    assert text == "the connection to /api/rooms/{room} from 10.0.0.1:1234"


@pytest.mark.parametrize(("path", "shown"), [("/rooms/7", "/rooms/7"), ("/a\nb", r"/a\nb")])
def test_a_request_is_described_by_its_path(path, shown):
    text = described("/api", exchange(connection=False, path=path))
    assert text == f"the request for {shown} from 10.0.0.1:1234"
