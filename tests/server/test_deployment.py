"""What ``docs/deployment.md`` shows works as it is shown."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest
import trustme

from tests.raw import handshake
from tests.server.harness import deployed
from tests.server.harness.peer import Peer
from tests.server.harness.process import PATIENCE, TRIOWS, Output, ServerProcess
from tests.server.harness.proxies import Proxy, ProxyProcess
from triows._cli import _parser

PROXIES: dict[str, Callable[..., Proxy]] = {
    "nginx": deployed.nginx,
    "nginx that keeps connections": lambda *args: deployed.nginx(*args, kept=True),
    "haproxy": deployed.haproxy,
    "haproxy that keeps none": lambda *args: deployed.haproxy(*args, kept=False),
    "caddy": deployed.caddy,
}

#: Nobody listens there.
AWAY = "127.0.0.5:1"

pytestmark = pytest.mark.real_socket


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the reader of the page has the application."""
    made = tmp_path_factory.mktemp("srv")
    (made / "hello.py").write_text(deployed.application())
    return made


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ServerProcess]:
    with ServerProcess(TRIOWS, "hello:app", folder=folder) as process:
        yield process


def address_of(server: ServerProcess) -> str:
    return "{}:{}".format(*server.address)


def started(proxy: Proxy, folder: Path) -> ProxyProcess:
    if (reason := proxy.missing()) is not None:
        pytest.skip(reason)
    return ProxyProcess(proxy, "", folder)


def connected(
    address: tuple[str, int] | str, context: ssl.SSLContext | None = None
) -> socket.socket:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    sock = socket.socket(family)
    sock.settimeout(PATIENCE)
    sock.connect(address)
    return sock if context is None else context.wrap_socket(sock, server_hostname="127.0.0.1")


def request(method: str, target: str, *lines: str) -> bytes:
    head = [f"{method} {target} HTTP/1.1", "Host: hello.example", "Connection: close", *lines]
    return "\r\n".join([*head, "", ""]).encode()


def ask(proxy: ProxyProcess, method: str, target: str, *lines: str) -> tuple[int, bytes]:
    with Peer(connected(proxy.address)) as peer:
        answer = peer.ask(request(method, target, *lines))
        return answer.status, answer.body


@pytest.fixture(params=PROXIES)
def proxy(
    request: pytest.FixtureRequest, server: ServerProcess, tmp_path: Path
) -> Iterator[ProxyProcess]:
    """A proxy before two servers, of which one is away."""
    with started(PROXIES[request.param]((AWAY, address_of(server))), tmp_path) as process:
        yield process


def test_each_request_reaches_the_server_that_is_there(proxy):
    answers = [ask(proxy, "POST", f"/orders?item={number}") for number in range(6)]
    assert answers == [(200, b"ordered: %d" % number) for number in range(6)]


def test_each_websocket_reaches_the_server_that_is_there(proxy):
    for _ in range(4):
        with Peer(connected(proxy.address)) as peer:
            peer.open("/chat")
            peer.echo("hello")
            assert peer.close() == 1000


def test_a_page_of_this_host_may_connect_and_another_may_not(proxy):
    host = "{}:{}".format(*proxy.address)
    statuses = {}
    for origin in (f"http://{host}", f"https://{host}", "https://bad.example"):
        with Peer(connected(proxy.address)) as peer:
            sent = handshake("/chat", f"Origin: {origin}".encode(), host=host)
            statuses[origin] = peer.ask(sent).status
    assert list(statuses.values()) == [101, 101, 403]


class Recorder:
    """A server that answers everything with 200 and keeps the heads of requests."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._listener.getsockname())
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, suppress(OSError):
                    self.heads.append(connection.recv(2**16))
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def header(self, target: str, name: str) -> list[str]:
        """Return the values of a header in the requests for a target."""
        heads = [head.decode() for head in self.heads if f" {target} " in head.decode()]
        found = [re.findall(rf"^{name}: (.*)\r$", head, re.M | re.I) for head in heads]
        return [value for values in found for value in values]


@pytest.mark.parametrize("name", PROXIES)
def test_a_client_cannot_say_that_it_is_somebody_else(name, tmp_path):
    with Recorder() as server, started(PROXIES[name]((AWAY, server.address)), tmp_path) as proxy:
        claims = ("For: 6.6.6.6", "Proto: gopher", "Host: bad.example", "Port: 666")
        ask(proxy, "GET", "/who", *(f"X-Forwarded-{claim}" for claim in claims))
        assert server.header("/who", "x-forwarded-for") == ["127.0.0.1"]
        assert server.header("/who", "x-forwarded-proto") in (["http"], ["https"])
        assert server.header("/who", "x-forwarded-host") == ["hello.example"]
        assert server.header("/who", "x-forwarded-port") == []
        assert server.header("/who", "host") == ["hello.example"]


def test_nginx_removes_the_beginning_of_a_path(server, tmp_path):
    proxy = deployed.nginx((AWAY, address_of(server)), under_a_path=True)
    with started(proxy, tmp_path) as process:
        assert ask(process, "POST", "/app/orders?item=tea") == (200, b"ordered: tea")
        with Peer(connected(process.address)) as peer:
            peer.open("/app/chat")
            peer.echo("hello")


# With TLS.


@pytest.fixture(scope="module")
def certificates(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that certbot makes, and the one that HAProxy wants."""
    made = authority.issue_cert("hello.example", "127.0.0.1")
    folder = tmp_path_factory.mktemp("certificates")
    for blob in made.cert_chain_pems:
        blob.write_to_path(folder / "fullchain.pem", append=True)
    made.private_key_pem.write_to_path(folder / "privkey.pem")
    made.private_key_and_cert_chain_pem.write_to_path(folder / "hello.pem")
    return folder


@pytest.fixture(params=["nginx", "haproxy"])
def tls_proxy(
    request: pytest.FixtureRequest, server: ServerProcess, certificates: Path, tmp_path: Path
) -> Iterator[ProxyProcess]:
    servers = (AWAY, address_of(server))
    chosen = {
        "nginx": lambda: deployed.nginx(servers, certificate=certificates),
        "haproxy": lambda: deployed.haproxy(servers, certificate=certificates / "hello.pem"),
    }[request.param]()
    with started(chosen, tmp_path) as process:
        yield process


def test_a_browser_connects_with_tls(tls_proxy, trust):
    host = "{}:{}".format(*tls_proxy.address)
    with Peer(connected(tls_proxy.address, trust)) as peer:
        sent = handshake("/chat", f"Origin: https://{host}".encode(), host=host)
        assert peer.ask(sent).status == 101
        peer.echo("hello")
        assert peer.close() == 1000


def test_a_request_without_tls_is_sent_to_the_same_page_with_tls(tls_proxy, trust, tmp_path):
    connected(tls_proxy.address, trust).close()  # it runs
    with Peer(connected(str(tmp_path / "redirect"))) as peer:
        answer = peer.ask(request("GET", "/a?b=c"))
    assert answer.status in (301, 302)
    assert answer.header(b"location") == b"https://hello.example/a?b=c"


# Commands, and who starts them.

PROGRAM = "/srv/hello/.venv/bin/triows"

UNITS = {
    name: f"/etc/systemd/system/{name}"
    for name in ("hello@.service", "hello.service", "hello.socket")
}


def started_by(unit: str) -> list[str]:
    """Return the words of ``ExecStart``."""
    (line,) = re.findall(r"^ExecStart=(.*)$", deployed.shown(UNITS[unit]), re.MULTILINE)
    return shlex.split(line.replace("%i", "0"))


def in_dockerfile() -> list[str]:
    (line,) = re.findall(r"^CMD (.*)$", deployed.shown("Dockerfile"), re.MULTILINE)
    return list(json.loads(line))


def in_pod() -> list[str]:
    (line,) = re.findall(r"^ *command: (.*)$", deployed.shown("hello.yaml"), re.MULTILINE)
    return list(json.loads(line))


def commands() -> Iterator[list[str]]:
    """Every ``triows run`` on the page."""
    yield started_by("hello@.service")
    yield started_by("hello.service")
    yield in_dockerfile()
    yield in_pod()
    for line in re.findall(r"^\$ (triows run .*)$", deployed.PAGE.read_text("utf-8"), re.MULTILINE):
        yield shlex.split(line)


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_a_command_has_only_options_that_there_are(command):
    assert Path(command[0]).name == "triows"
    assert _parser().parse_args(command[1:]).app == "hello:app"


@pytest.mark.parametrize(
    "command", [started_by("hello@.service"), in_dockerfile(), in_pod()], ids=" ".join
)
def test_a_command_serves(command, folder):
    _, _, app, *options = command
    bind = options.index("--bind")
    del options[bind : bind + 2]
    with ServerProcess(TRIOWS, app, *options, folder=folder) as server:
        connection = http.client.HTTPConnection(*server.address, timeout=PATIENCE)
        connection.request("GET", "/ready")
        assert connection.getresponse().status == 204
        connection.close()


def test_systemd_understands_the_units(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here: apt-get install systemd")
    for name, path in UNITS.items():
        text = deployed.shown(path).replace(PROGRAM, sys.executable)
        (tmp_path / name).write_text(text)
    (tmp_path / "hello@.service").rename(tmp_path / "hello@8001.service")
    done = subprocess.run(
        ["systemd-analyze", "verify", *sorted(tmp_path.iterdir())],
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "hello" in line]
    assert said == []


def test_a_server_takes_the_socket_that_systemd_holds(folder):
    if (activate := shutil.which("systemd-socket-activate")) is None:
        pytest.skip("no systemd-socket-activate here: apt-get install systemd")
    with socket.create_server(("127.0.0.4", 0)) as listener:
        address = listener.getsockname()
    process = subprocess.Popen(
        [activate, "--listen={}:{}".format(*address), *TRIOWS, *started_by("hello.service")[2:]],
        cwd=folder,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    output = Output(process.stdout)
    try:
        output.wait_for("Listening on")
        with Peer(connected(address)) as peer:
            assert peer.ask(request("POST", "/orders?item=tea")).body == b"ordered: tea"
    finally:
        process.terminate()
        process.wait()
        output.close()


def seconds(pattern: str, text: str) -> float:
    (found,) = re.findall(pattern, text)
    return float(found)


def test_supervisors_wait_for_longer_than_a_shutdown_takes(folder):
    with (
        ServerProcess(TRIOWS, "hello:app", folder=folder) as server,
        Peer(connected(server.address)) as peer,
    ):
        peer.open("/chat")
        server.send_signal(signal.SIGTERM)
        budget = float(server.wait_for(r"for [\d.]+ s at most").split()[1])
        assert peer.wait_closed() == 1001
    page = deployed.PAGE.read_text("utf-8")
    pod = deployed.shown("hello.yaml")
    delay = seconds(r'"--drain-delay", "(\d+)"', pod)
    waits = [float(found) for found in re.findall(r"TimeoutStopSec=(\d+)", page)]
    waits.append(seconds(r"--stop-timeout (\d+) hello", page))
    waits.append(seconds(r"terminationGracePeriodSeconds: (\d+)", pod) - delay)
    assert len(waits) == 4
    assert min(waits) > budget


def test_the_probes_ask_a_route_of_the_application(folder):
    paths = set(re.findall(r"httpGet: \{path: ([^,]+),", deployed.shown("hello.yaml")))
    assert paths == {"/ready"}
