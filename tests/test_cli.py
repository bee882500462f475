"""The command line's own parts: finding the application, laying out its routes."""

import sys
from importlib.metadata import version

import pytest

from triows import RouteInfo, Triows
from triows._cli import UnusableApp, load, main, table

SHOP = """
from triows import Triows, WebSocketRoute

route = WebSocketRoute("orders/{order_id}")

@route.endpoint
async def orders(order_id: int) -> None: ...

app = Triows(route)

class Settings:
    app = Triows()

def create_app():
    return app
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of the user's, who stands in it. Modules from it are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def shop(folder):
    (folder / "shop.py").write_text(SHOP)
    return folder


# Finding it


def test_an_application_is_found_in_the_current_folder(shop):
    app = load("shop:app")
    assert app is sys.modules["shop"].app
    assert isinstance(app, Triows)


def test_an_application_is_found_in_a_package(folder):
    (folder / "stores").mkdir()
    (folder / "stores" / "shop.py").write_text(SHOP)
    assert load("stores.shop:app").routes[0].path == "/orders/{order_id}"


def test_an_application_may_be_an_attribute_of_something(shop):
    assert load("shop:Settings.app") is sys.modules["shop"].Settings.app


def test_the_current_folder_is_put_on_the_path_once(shop):
    load("shop:app")
    load("shop:app")
    assert sys.path.count(str(shop)) == 1


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("shop", "'shop': write module:app, as in 'chat:app'"),
        ("shop:", "write module:app"),
        (":app", "write module:app"),
        ("", "write module:app"),
        (".shop:app", "write module:app"),
        ("shops:app", "there is no module 'shops' here or installed"),
        ("stores.shop:app", "there is no module 'stores' here or installed"),
        ("shop.orders:app", "there is no module 'shop.orders' here or installed"),
        ("shop.py:app", "with dots and without .py"),
        ("stores/shop:app", "with dots and without .py"),
        ("shop:application", "'shop' has no 'application'"),
        ("shop:app.no.such", "'shop' has no 'app.no.such'"),
        ("shop:create_app", "'shop:create_app' is a function, not a Triows application"),
        ("shop:Triows", "'shop:Triows' is a type, not a Triows application"),
        ("shop:route", "'shop:route' is a WebSocketRoute, not a Triows application"),
    ],
)
def test_a_target_that_leads_nowhere_is_told_so(shop, target, message, capsys):
    with pytest.raises(UnusableApp) as caught:
        load(target)
    assert message in str(caught.value)
    assert main(["routes", target]) == 2
    assert capsys.readouterr() == ("", f"triows: {caught.value}\n")


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import no_such_module", ModuleNotFoundError),
        ("import shop.orders", ModuleNotFoundError),
        ("from triows import NoSuchName", ImportError),
        ("1 / 0", ZeroDivisionError),
        ("def", SyntaxError),
    ],
)
def test_what_importing_the_module_raises_is_shown_whole(folder, source, error, capsys):
    (folder / "shop.py").write_text(source)
    with pytest.raises(error):
        load("shop:app")
    assert main(["run", "shop:app"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Traceback")
    assert error.__name__ in err.splitlines()[-1]


def test_a_mistake_in_a_route_is_shown_with_its_place_and_without_a_traceback(folder, capsys):
    mistake = SHOP.replace("order_id: int", "other: int")
    (folder / "shop.py").write_text(mistake)
    line = mistake.splitlines().index("@route.endpoint") + 1
    assert main(["routes", "shop:app"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    first, last = err.splitlines()
    assert first.startswith("triows: HandlerSignatureError: no one takes {order_id}")
    assert last == f"  at {folder / 'shop.py'}:{line} (orders)"


# Laying out routes


def test_the_routes_of_an_application_are_printed(shop, capsys):
    assert main(["routes", "shop:app"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    line = SHOP.splitlines().index("@route.endpoint") + 1
    assert out.splitlines() == [
        "PATH                HANDLER             PARAMETERS          RESOURCES",
        f"/orders/{{order_id}}  shop.py:{line} (orders)  path order_id: int",
    ]


def test_each_parameter_and_resource_has_a_line():
    routes = [
        RouteInfo("/a", "chat.py:1 (a)", ("query x: int", "header y: str"), ("get_db",)),
        RouteInfo("/b/{c}", "chat.py:20 (b)", (), ("get_db", "get_pool (application)")),
    ]
    assert list(table(routes)) == [
        "PATH    HANDLER         PARAMETERS     RESOURCES",
        "/a      chat.py:1 (a)   query x: int   get_db",
        "                        header y: str",
        "/b/{c}  chat.py:20 (b)                 get_db",
        "                                       get_pool (application)",
    ]


def test_a_route_without_parameters_and_resources_has_one_line():
    assert list(table([RouteInfo("/", "chat.py:1 (a)", (), ())])) == [
        "PATH  HANDLER        PARAMETERS  RESOURCES",
        "/     chat.py:1 (a)",
    ]


def test_without_routes_there_are_only_headings():
    assert list(table([])) == ["PATH  HANDLER  PARAMETERS  RESOURCES"]


def test_handlers_are_shown_from_the_current_folder(folder):
    inside, outside = f"{folder}/shop.py:1 (a)", f"{folder}-other/shop.py:1 (a)"
    lines = list(table([RouteInfo("/", place, (), ()) for place in (inside, outside)]))
    assert [line.split()[1] for line in lines[1:]] == ["shop.py:1", f"{folder}-other/shop.py:1"]


# The command


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"triows {version('triows')}\n"


@pytest.mark.parametrize(
    "arguments", [[], ["serve", "shop:app"], ["run"], ["run", "shop:app", "--log-level", "loud"]]
)
def test_a_command_that_there_is_not_is_explained(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: triows")
