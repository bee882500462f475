"""
What options and a configuration file do to processes: one, several, and one that reloads.

How their values are chosen: tests/command.
"""

from __future__ import annotations

import http.client
import json
import time
from urllib.parse import urlsplit

import pytest

from tests.server.harness.process import PATIENCE, TRIOWS, ServerProcess

pytestmark = pytest.mark.real_socket

SHOP = """
import os
from triows import Request, Route, Triows

looking = Route("looking")

@looking.get
async def look(request: Request) -> dict[str, str]:
    return {"goods": os.environ["SHOP_GOODS"], "root": request.scope["root_path"]}

def make() -> Triows:
    return Triows(looking)
"""

FILE = """
factory = true
app_dir = "shop"
env_file = "shop/goods.env"
root_path = "/app"
accesslog = "access.log"
include_server_header = false
h11_max_incomplete_size = 1000
server_names = "shop.example"
"""


@pytest.fixture
def shop(tmp_path):
    """A folder with an application, its environment, and a configuration."""
    (tmp_path / "deploy/shop").mkdir(parents=True)
    (tmp_path / "deploy/shop/goods_of.py").write_text(SHOP)
    (tmp_path / "deploy/shop/goods.env").write_text("export SHOP_GOODS='tea # and more'\n")
    (tmp_path / "deploy/triows.toml").write_text(FILE)
    return tmp_path


def asked(process, **headers):
    """Ask what there is. Return the status, the headers and the body."""
    connection = http.client.HTTPConnection(urlsplit(process.url).netloc, timeout=PATIENCE)
    try:
        connection.request("GET", "/looking", headers={"Host": "shop.example", **headers})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def wait_for_line(file):
    deadline = time.monotonic() + PATIENCE
    while not (text := file.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return text


@pytest.mark.parametrize("options", [[], ["--workers", "2"], ["--reload"]])
def test_all_processes_get_the_same_configuration(shop, options):
    options = ["--config", "deploy/triows.toml", *options]
    with ServerProcess(TRIOWS, "goods_of:make", *options, folder=shop) as process:
        status, headers, body = asked(process)
        assert (status, "server" in headers) == (200, False)
        assert json.loads(body) == {"goods": "tea # and more", "root": "/app"}
        assert asked(process, Long=1000 * "x")[0] == 431
        assert asked(process, Host="other.example")[0] == 404
        assert '"GET /app/looking 1.1" 200' in wait_for_line(shop / "deploy/access.log")
        process.stop()


def test_the_command_line_takes_precedence_and_what_is_set_stays(shop):
    options = [
        *("--config", "deploy/triows.toml", "--root-path", "/other", "--no-access-log"),
        *("--h11-max-incomplete-size", "9000"),
    ]
    coffee = {"SHOP_GOODS": "coffee"}
    with ServerProcess(
        TRIOWS, "goods_of:make", *options, folder=shop, environment=coffee
    ) as process:
        _, _, body = asked(process, Long=1000 * "x")
        assert json.loads(body) == {"goods": "coffee", "root": "/other"}
        process.stop()
    assert not (shop / "deploy/access.log").exists()
