from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
import trustme

from tests.server.clients import CLIENTS, REAL_CLIENTS, RealClient, chromium, node
from tests.server.clients.http import HTTP_CLIENTS, HTTPClient
from tests.server.clients.http.chromium import Chromium
from tests.server.clients.http.programs import Program
from tests.server.harness.carriers import (
    pytest_collection_modifyitems,
    pytest_generate_tests,
    pytest_pycollect_makeitem,
)
from tests.server.harness.checked import CheckedServer, SharedServers
from tests.server.harness.choice import (
    IS_CHOSEN,
    SERVER,
    start,
    start_in_memory,
    start_with_names,
)
from tests.server.harness.process import HYPERCORN, TRIOWS, ServerProcess
from tests.server.harness.versions import Versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_generate_tests",
    "pytest_pycollect_makeitem",
]


@pytest.fixture(params=CLIENTS)
def open_client(request: pytest.FixtureRequest) -> Callable[..., object]:
    """Open a connection with each of the clients that aren't ours."""
    return CLIENTS[request.param]


@pytest.fixture(scope="package")
def browser_in_thread() -> Iterator[chromium.BrowserInThread]:
    with chromium.browser_in_thread() as browser:
        yield browser


@pytest.fixture(params=[*REAL_CLIENTS, pytest.param("chromium", marks=pytest.mark.browser)])
def open_real_client(request: pytest.FixtureRequest) -> RealClient:
    """Each of the clients that people use."""
    missing = {"ws": node.missing, "chromium": chromium.missing}.get(request.param)
    if missing is not None and (reason := missing()) is not None:
        pytest.skip(reason)
    if request.param == "chromium":
        browser = request.getfixturevalue("browser_in_thread")
        return RealClient(chromium.ChromiumClient, browser.open)
    return REAL_CLIENTS[request.param]


@pytest.fixture
def open_fragmenting_client(open_real_client: RealClient) -> RealClient:
    """Each of the clients that can send a message in fragments."""
    open_real_client.skip_if_it_cannot("send_fragments")
    return open_real_client


@pytest.fixture
def open_pinging_client(open_real_client: RealClient) -> RealClient:
    """Each of the clients that can send a ping."""
    open_real_client.skip_if_it_cannot("ping")
    return open_real_client


@pytest.fixture(
    scope="package", params=[*HTTP_CLIENTS, pytest.param("chromium", marks=pytest.mark.browser)]
)
def http_client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> HTTPClient:
    """Each of the clients for plain HTTP that people use. It is compiled if it has to be."""
    client: HTTPClient
    if request.param == "chromium":
        if (reason := chromium.missing()) is not None:
            pytest.skip(reason)
        client = Chromium(request.getfixturevalue("browser_in_thread"))
    else:
        client = HTTP_CLIENTS[request.param](tmp_path_factory.mktemp("client"))
        if (reason := client.missing()) is not None:
            pytest.skip(reason)
    if isinstance(client, Program):
        client.make()
    return client


@pytest.fixture(scope="package")
def triows_run() -> Iterator[ServerProcess]:
    """Our command, for tests that don't change or end it."""
    with ServerProcess(TRIOWS) as process:
        yield process


@pytest.fixture(scope="package")
def plain_hypercorn() -> Iterator[ServerProcess]:
    """The same applications with a server that isn't ours."""
    with ServerProcess(HYPERCORN) as process:
        yield process


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """The authority that certifies the servers of the tests."""
    return trustme.CA()


@pytest.fixture(scope="package")
def processes() -> Iterator[SharedServers]:
    with SharedServers(
        lambda name: start_with_names(name) if name == "named" else start(name)
    ) as servers:
        yield servers


@pytest.fixture(scope="package")
def servers_in_memory() -> Iterator[SharedServers]:
    with SharedServers(start_in_memory) as servers:
        yield servers


@pytest.fixture
def servers(carrier: str, request: pytest.FixtureRequest) -> SharedServers:
    """The servers for the carrier of the test."""
    name = "processes" if carrier == "sockets" else "servers_in_memory"
    servers: SharedServers = request.getfixturevalue(name)
    return servers


@pytest.fixture
def carrier(request: pytest.FixtureRequest) -> str:
    """What carries the bytes of the test: ``memory`` or ``sockets``. See ``carriers.py``."""
    carrier: str = request.param
    return carrier


def checked(
    servers: SharedServers, name: str, context: ssl.SSLContext | None = None
) -> Iterator[CheckedServer]:
    server = CheckedServer(servers.get(name), context)
    try:
        yield server
        server.check()
    except BaseException:
        servers.give_up(name)
        raise
    finally:
        server.hang_up()


@pytest.fixture
def server(servers: SharedServers) -> Iterator[CheckedServer]:
    """A server. After the test, it has to be as it was before."""
    yield from checked(servers, "app")


@pytest.fixture
def compressing_server(servers: SharedServers) -> Iterator[CheckedServer]:
    """The same with permessage-deflate switched on."""
    yield from checked(servers, "compressing")


@pytest.fixture(params=["app", "compressing"], ids=["off", "on"])
def either_server(
    servers: SharedServers, request: pytest.FixtureRequest
) -> Iterator[CheckedServer]:
    """The same with permessage-deflate switched off and on."""
    yield from checked(servers, request.param)


@pytest.fixture
def named_server(servers: SharedServers) -> Iterator[CheckedServer]:
    """The same with a list of names that the server has."""
    yield from checked(servers, "named")


@pytest.fixture
def crowded_server(servers: SharedServers) -> Iterator[CheckedServer]:
    """The same with room for three connections, of which the bystander is one."""
    yield from checked(servers, "crowded")


@pytest.fixture
def process_server(processes: SharedServers) -> Iterator[CheckedServer]:
    """A server in a process, for tests about the system, or about the server's memory."""
    yield from checked(processes, "app")


@pytest.fixture
def plain_server(processes: SharedServers) -> Iterator[CheckedServer]:
    """A server in a process, which answers plain requests."""
    yield from checked(processes, "plain")


@pytest.fixture
def endpoints_server(processes: SharedServers) -> Iterator[CheckedServer]:
    """A server in a process, which has typed routes."""
    if IS_CHOSEN and SERVER != "triows":
        pytest.skip("these are about our server")
    yield from checked(processes, "endpoints")


@pytest.fixture
def compressing_process_server(processes: SharedServers) -> Iterator[CheckedServer]:
    """The same with permessage-deflate switched on."""
    yield from checked(processes, "compressing")


@pytest.fixture(scope="session")
def certificate(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The options that serve TLS."""
    folder = tmp_path_factory.mktemp("certificate")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    return ["--certfile", str(folder / "cert.pem"), "--keyfile", str(folder / "key.pem")]


@pytest.fixture(scope="package")
def tls_servers(certificate: list[str]) -> Iterator[SharedServers]:
    with SharedServers(lambda name: start(name, *certificate)) as servers:
        yield servers


@pytest.fixture(scope="session")
def cafile(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file that makes a client trust the servers of the tests."""
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(file)
    return str(file)


@pytest.fixture
def trust(authority: trustme.CA) -> ssl.SSLContext:
    """The same as a context of the standard library."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def tls_server(tls_servers: SharedServers, trust: ssl.SSLContext) -> Iterator[CheckedServer]:
    """A server in a process that uses TLS."""
    yield from checked(tls_servers, "app", trust)


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    """An application in a file. A test can write another version of it."""
    it = Versions(tmp_path)
    it.write("one")
    return it
