"""
What options and a configuration file do to processes: one, several, and one that reloads.

How their values are chosen: tests/command.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
import trustme

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


@pytest.mark.parametrize("options", [[], ["--workers", "2"], ["--reload"]])
def test_all_processes_get_the_same_configuration(shop, options):
    options = ["--config", "deploy/triows.toml", *options]
    with ServerProcess(TRIOWS, "goods_of:make", *options, folder=shop) as process:
        status, headers, body = asked(process)
        assert (status, "server" in headers) == (200, False)
        assert json.loads(body) == {"goods": "tea # and more", "root": "/app"}
        assert asked(process, Long=1000 * "x")[0] == 431
        assert asked(process, Host="other.example")[0] == 404
        process.stop(PATIENCE)
    assert '"GET /app/looking 1.1" 200' in (shop / "deploy/access.log").read_text()


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


@pytest.mark.parametrize("options", [[], ["--workers", "2"], ["--reload"]])
def test_an_address_without_tls_has_none_in_any_process(shop, options):
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        str(shop / "both.pem")
    )
    (shop / "tls.toml").write_text(
        "factory = true\napp_dir = 'deploy/shop'\ninsecure_bind = '127.0.0.1:0'\n"
        "certfile = 'both.pem'\nkeyfile = 'both.pem'"
    )
    context = ssl.create_default_context()
    authority.configure_trust(context)
    options = ["--config", "tls.toml", *options]
    goods = {"SHOP_GOODS": "tea"}
    with ServerProcess(
        TRIOWS, "goods_of:make", *options, folder=shop, environment=goods
    ) as process:
        (line,) = (line for line in process.lines if process.url in line)
        secure, plain = re.findall(r"https?://[\d.:]+", line)
        assert secure.startswith("https:")
        assert plain.startswith("http:")
        for url in (secure, plain):
            with urlopen(f"{url}/looking", timeout=PATIENCE, context=context) as response:
                assert json.load(response)["goods"] == "tea"
        process.stop()
