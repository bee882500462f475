"""Certificates that are renewed, and those of clients, on real sockets."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

import triows
from tests.raw import TEXT, frame, handshake
from tests.server.harness.process import PATIENCE, TRIOWS, ServerProcess
from tests.server.harness.versions import Versions
from tests.server.test_serve import address_of, configured, serving
from tests.server.test_workers import wait_replaced, workers_of
from triows import Triows

pytestmark = pytest.mark.real_socket


# What applications see


async def tell(scope: Any, receive: Any, send: Any) -> None:
    """Answer with what ASGI's TLS extension says, whatever kind of request it is."""
    told = json.dumps(scope["extensions"].get("tls"))
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": told})
        await send({"type": "websocket.close"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": told.encode()})


def telling() -> Triows:
    app = Triows()
    app.mount("/", tell)
    return app


@pytest.fixture
def clients() -> trustme.CA:
    """The authority that certifies the clients."""
    return trustme.CA()


@pytest.fixture
def settings(authority: trustme.CA, clients: trustme.CA, tmp_path: Path) -> dict[str, Any]:
    """Settings of a server that asks for a client's certificate, and needs none."""
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    clients.cert_pem.write_to_path(tmp_path / "clients.pem")
    return {
        "certfile": str(tmp_path / "both.pem"),
        "keyfile": str(tmp_path / "both.pem"),
        "ca_certs": str(tmp_path / "clients.pem"),
        "verify_mode": ssl.CERT_OPTIONAL,
    }


def ask(url: str, context: ssl.SSLContext, request: bytes) -> bytes:
    """Send a request, and return all that comes until the server's end of TLS."""
    with (
        socket.create_connection(address_of(url), PATIENCE) as sock,
        context.wrap_socket(sock, server_hostname="127.0.0.1") as tls,
    ):
        tls.sendall(request)
        answer = b""
        while part := tls.recv(2**16):
            answer += part
        return answer


async def seen(url: str, context: ssl.SSLContext, request: bytes = b"") -> Any:
    get = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answer = await trio.to_thread.run_sync(ask, url, context, request or get)
    return json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])


async def test_a_client_with_a_certificate_is_known_to_the_application(settings, trust, clients):
    issued = clients.issue_cert("alice@example.org", common_name="Alice, of course")
    issued.configure_cert(trust)
    async with serving(telling(), **settings) as url:
        tls = await seen(url, trust)
    (chain,) = [pem.bytes().decode() for pem in issued.cert_chain_pems[:1]]
    assert tls["client_cert_chain"][0] == chain
    subject = x509.load_pem_x509_certificate(chain.encode()).subject
    assert tls["client_cert_name"] == subject.rfc4514_string()
    assert tls["client_cert_error"] is None


async def test_a_client_without_a_certificate_has_no_name(settings, trust):
    async with serving(telling(), **settings) as url:
        tls = await seen(url, trust)
    assert tls["client_cert_chain"] == []
    assert tls["client_cert_name"] is None


async def test_a_websocket_is_told_the_same(settings, trust, clients):
    clients.issue_cert("alice@example.org", common_name="Alice").configure_cert(trust)
    async with serving(telling(), **settings) as url:
        assert await seen(url, trust, handshake("/")) == await seen(url, trust)


@pytest.mark.parametrize(
    ("version", "number"), [(ssl.TLSVersion.TLSv1_2, 0x0303), (ssl.TLSVersion.TLSv1_3, 0x0304)]
)
async def test_the_application_is_told_the_servers_certificate_version_and_cipher(
    settings, trust, version, number
):
    trust.minimum_version = trust.maximum_version = version
    async with serving(telling(), **settings) as url:
        tls = await seen(url, trust)
    file = trio.Path(settings["certfile"])
    assert tls["server_cert"] in await file.read_text()
    assert tls["server_cert"].count("BEGIN CERTIFICATE") == 1
    assert tls["tls_version"] == number
    # TLS 1.3 has five suites, 0x1301 to 0x1305. Those of TLS 1.2 are 0xC0.. or 0xCC.. here.
    assert tls["cipher_suite"] >> 8 in ([0x13] if number == 0x0304 else [0xC0, 0xCC])


# Clients that are refused


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is missing")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_openssl_sees_an_alert_if_it_has_no_certificate(settings, version):
    settings["verify_mode"] = ssl.CERT_REQUIRED

    def connect(url: str) -> str:
        host, port = address_of(url)
        command = ["openssl", "s_client", version, "-connect", f"{host}:{port}", "-ign_eof"]
        done = subprocess.run(
            command, input="", capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        return done.stdout + done.stderr

    async with serving(telling(), **settings) as url:
        told = await trio.to_thread.run_sync(connect, url)
    # TLS 1.2 has no alert for that, so OpenSSL sends a general one.
    assert "alert certificate required" in told or "alert handshake failure" in told


# Keys with a password


def encrypt(file: Path, password: str) -> Path:
    """Encrypt the key in *file*. Return the file of the encrypted one."""
    key = load_pem_private_key(file.read_bytes(), None)
    protection = BestAvailableEncryption(password.encode())
    encrypted = file.with_name("encrypted.pem")
    encrypted.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))
    return encrypted


@pytest.fixture
def encrypted(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with a key that needs the password ``secret``."""
    return {**settings, "keyfile": str(encrypt(Path(settings["keyfile"]), "secret"))}


async def test_nobody_is_asked_for_the_password_of_a_key(encrypted):
    with pytest.raises(OSError, match="is encrypted: give its password, by"):
        await triows.serve(telling(), configured(**encrypted))


async def test_a_key_is_used_with_its_password(encrypted, trust):
    async with serving(telling(), **encrypted, keyfile_password="secret") as url:
        assert (await seen(url, trust))["tls_version"] == 0x0304


# Renewing


def issue(authority: trustme.CA, file: Path) -> str:
    """Write a new certificate into *file*. Return its number, as clients see it."""
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(file)
    chain = issued.cert_chain_pems[0].bytes()
    return f"{x509.load_pem_x509_certificate(chain).serial_number:040X}"


def connect(process: ServerProcess, trust: ssl.SSLContext) -> tuple[ssl.SSLSocket, str]:
    """Open a WebSocket. Return the number of the certificate that the server has shown, too."""
    tls = process.reach(PATIENCE, trust)
    assert isinstance(tls, ssl.SSLSocket)
    certificate: Any = tls.getpeercert()
    tls.sendall(handshake("/echo"))
    assert tls.recv(4096).startswith(b"HTTP/1.1 101")
    return tls, certificate["serialNumber"].rjust(40, "0")


def is_alive(tls: ssl.SSLSocket) -> bool:
    tls.sendall(frame(TEXT, b"still there"))
    return tls.recv(100).endswith(b"still there")


def test_sighup_renews_the_certificate_for_new_connections(authority, trust, tmp_path):
    file = tmp_path / "both.pem"
    first = issue(authority, file)
    options = ["--certfile", str(file), "--keyfile", str(file)]
    with ServerProcess(TRIOWS, "ordinary:app", *options) as process:
        old, shown = connect(process, trust)
        assert shown == first
        second = issue(authority, file)
        process.send_signal(signal.SIGHUP)
        process.wait_for("new connections get the certificate that is there now")
        new, shown = connect(process, trust)
        assert shown == second
        assert is_alive(old)
        old.close()
        new.close()


def test_a_broken_certificate_leaves_the_old_one_and_is_logged_once(authority, trust, tmp_path):
    file = tmp_path / "both.pem"
    first = issue(authority, file)
    options = ["--certfile", str(file), "--keyfile", str(file)]
    with ServerProcess(TRIOWS, "ordinary:app", *options) as process:
        old, _ = connect(process, trust)
        file.write_text("broken")
        process.send_signal(signal.SIGHUP)
        process.wait_for("the old certificate stays: .* has no certificate")
        for _ in range(2):
            new, shown = connect(process, trust)
            assert shown == first
            new.close()
        assert is_alive(old)
        old.close()
    assert process.output.count("certificate stays") == 1
    assert "Traceback" not in process.output


def test_a_broken_certificate_replaces_no_worker(authority, trust, versions: Versions):
    file = versions.folder / "both.pem"
    first = issue(authority, file)
    options = ["--workers", "2", "--certfile", str(file), "--keyfile", str(file)]
    with ServerProcess(TRIOWS, "versions:app", *options, folder=versions.folder) as process:
        old, _ = connect(process, trust)
        file.write_text("broken")
        process.send_signal(signal.SIGHUP)
        process.wait_for("no worker is replaced: .* has no certificate")
        new, shown = connect(process, trust)
        assert shown == first
        assert is_alive(old)
        new.close()
        second = issue(authority, file)
        before = workers_of(process)
        process.send_signal(signal.SIGHUP)
        wait_replaced(process, before)
        new, shown = connect(process, trust)
        assert shown == second
        old.close()
        new.close()
    assert process.output.count("no worker is replaced") == 1


@pytest.mark.parametrize("workers", [[], ["--workers", "2"]], ids=["single", "workers"])
def test_a_key_is_renewed_together_with_its_password(authority, trust, versions: Versions, workers):
    file, password = versions.folder / "both.pem", versions.folder / "password"

    def renew(word: str) -> str:
        number = issue(authority, file)
        password.write_text(word)
        encrypt(file, word)
        return number

    renew("first")
    options = ["--certfile", str(file), "--keyfile", str(file.with_name("encrypted.pem"))]
    options += ["--keyfile-password-file", str(password), *workers]
    with ServerProcess(TRIOWS, "versions:app", *options, folder=versions.folder) as process:
        password.write_text("")
        process.send_signal(signal.SIGHUP)
        process.wait_for("(certificate stays|no worker is replaced): .*the first line .* is empty")
        second = renew("second")
        before = workers_of(process) if workers else []
        process.send_signal(signal.SIGHUP)
        if workers:
            wait_replaced(process, before)
        else:
            process.wait_for("new connections get the certificate that is there now")
        new, shown = connect(process, trust)
        assert shown == second
        new.close()


def test_new_workers_use_the_certificate_that_the_configuration_file_names_then(
    authority, trust, versions: Versions
):
    config = versions.folder / "triows.toml"

    def name(file: str) -> str:
        config.write_text(f'certfile = "{file}"\nkeyfile = "{file}"\n')
        return issue(authority, versions.folder / file)

    name("first.pem")
    options = ["--workers", "2", "--config", str(config)]
    with ServerProcess(TRIOWS, "versions:app", *options, folder=versions.folder) as process:
        config.write_text("certfile = 5")
        process.send_signal(signal.SIGHUP)
        process.wait_for("no worker is replaced: --config: .*: certfile: give text in quotes")
        second = name("second.pem")
        (versions.folder / "first.pem").unlink()
        before = workers_of(process)
        process.send_signal(signal.SIGHUP)
        wait_replaced(process, before)
        new, shown = connect(process, trust)
        assert shown == second
        new.close()
