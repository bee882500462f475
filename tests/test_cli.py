from __future__ import annotations

import os
import signal
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from triows._cli import _parser, main

APP = """
from typing import Annotated

from starlette.applications import Starlette

from triows import AsyncResource, Triows, WebSocket, WebSocketRoute, use


async def pool() -> str:
    return "pool"


async def session(pool: Annotated[str, use(pool, scope="app")]) -> AsyncResource[str]:
    yield "session"


rooms = WebSocketRoute("rooms/{room}")


@rooms.endpoint
async def talk(
    ws: WebSocket, room: str, session: Annotated[str, use(session)], times: int = 1
) -> None: ...


@rooms.sub("log").endpoint
async def log(ws: WebSocket, room: str) -> None: ...


app = Triows(rooms)
app.mount("/web", Starlette())
"""


@pytest.fixture(autouse=True)
def folder(import_folder):
    return import_folder


def write(folder, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def test_routes_are_listed_with_handlers_parameters_and_resources(folder, capsys):
    write(folder, "chat_for_routes.py", APP)
    assert main(["routes", "chat_for_routes:app"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "METHOD PATH HANDLER PARAMETERS RESULTS RESOURCES",
        "WEBSOCKET /rooms/{room} chat_for_routes.py:20 (talk) path room: str session",
        "query times: int = 1 pool (application)",
        "WEBSOCKET /rooms/{room}/log chat_for_routes.py:26 (log) path room: str",
        "MOUNT /web starlette.applications.Starlette",
    ]
    assert len({line.find("path room") for line in lines if "path room" in line}) == 1


API = """
import attrs
from typing import Annotated
from starlette.responses import HTMLResponse
from triows import Param, Route, Triows, UploadFile, status

@attrs.frozen
class Product:
    name: str

products = Route("products")

@products.get
async def find(limit: int = 10) -> list[Product]: ...

@products.post(status=201)
async def add(product: Product) -> Product: ...

@products.put
async def replace(text: Annotated[str | None, Param("body")] = None) -> None: ...

@products.patch
async def change(name: Annotated[str, Param("form")], image: UploadFile): ...

@products.delete
async def remove() -> (
    Annotated[Product, status.ACCEPTED] | Annotated[None, status.NO_CONTENT] | HTMLResponse
): ...

app = Triows(products)
"""


def test_the_body_and_the_results_of_a_request_are_listed(folder, capsys):
    write(folder, "api_for_routes.py", API)
    assert main(["routes", "api_for_routes:app"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "METHOD PATH HANDLER PARAMETERS RESULTS RESOURCES",
        "GET /products api_for_routes.py:13 (find) query limit: int = 10 200 list[Product]",
        "POST /products api_for_routes.py:16 (add) body: Product 201 Product",
        "PUT /products api_for_routes.py:19 (replace) body: str | None (optional) 204",
        "PATCH /products api_for_routes.py:22 (change) form name: str 200 Any",
        "form image: UploadFile",
        "DELETE /products api_for_routes.py:25 (remove) 202 Product",
        "204",
        "HTMLResponse",
    ]
    assert len({line.find("204") for line in lines if "204" in line}) == 1


def test_an_application_without_routes_has_an_empty_table(folder, capsys):
    write(folder, "empty.py", "import triows\napp = triows.Triows()\n")
    assert main(["routes", "empty:app"]) == 0
    assert capsys.readouterr().out == "METHOD  PATH  HANDLER  PARAMETERS  RESULTS  RESOURCES\n"


def test_an_application_is_named_before_it_is_imported(folder, caplog):
    caplog.set_level("INFO")
    write(folder, "hanging.py", "import logging\nlogging.warning('at import')\nraise OSError\n")
    assert main(["run", "hanging:app"]) == 2
    assert caplog.messages == [f"starting hanging:app (process {os.getpid()})", "at import"]


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("chat_there", "write module:app, as in 'chat_there:app'"),
        ("nowhere:app", "there is no module 'nowhere'"),
        ("chat_there:nothing", "'chat_there' has no 'nothing': write 'chat_there:app'"),
        ("chat_there:talk", "if it is a handler, put `@route.endpoint` above talk"),
    ],
)
def test_what_leads_nowhere_ends_with_2_and_a_sentence(folder, capsys, target, told):
    write(folder, "chat_there.py", APP)
    assert main(["routes", target]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("triows: ")
    assert told in err
    assert "Traceback" not in err


def test_a_mistake_in_a_route_ends_with_2_and_names_its_line(folder, capsys):
    text = (
        "from triows import Triows, WebSocketRoute\n"
        "route = WebSocketRoute('rooms/{room}')\n"
        "@route.endpoint\n"
        "async def talk() -> None: ...\n"
        "app = Triows(route)\n"
    )
    write(folder, "mistaken.py", text)
    assert main(["run", "mistaken:app"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("triows: ")
    assert "mistaken.py:3 (talk)" in err
    assert "Traceback" not in err


def test_a_mistake_that_no_function_has_names_the_line_of_the_call(folder, capsys):
    write(folder, "called.py", "from triows import Route\nroute = Route(etag='abc')\n")
    assert main(["run", "called:app"]) == 2
    (said, place) = capsys.readouterr().err.splitlines()
    assert said == "triows: RouteSetupError: etag takes True or False, not 'abc'"
    assert place == f"  at {folder / 'called.py'}:2"


BROKEN = """
import json


def read() -> object:
    return json.loads("{")


app = read()
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import a_module_that_is_not_there", "No module named 'a_module_that_is_not_there'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise GeneratorExit('early')", "GeneratorExit: early"),
        ("def app(", "SyntaxError: '(' was never closed"),
        (BROKEN, "JSONDecodeError: Expecting property name"),
        ("def __getattr__(name): raise OSError('no database')", "OSError: no database"),
        ("import broken; broken.app", "has no attribute 'app'"),
    ],
)
@pytest.mark.parametrize("command", ["run", "routes"])
def test_a_module_that_can_not_be_imported_ends_with_2_and_the_users_own_frames(
    folder, capsys, text, told, command
):
    write(folder, "broken.py", text)
    assert main([command, "broken:app"]) == 2
    first, *frames = capsys.readouterr().err.splitlines()
    assert first.startswith("triows: 'broken:app' can't be imported: ")
    assert told in first
    files = [line.split('"')[1] for line in frames if line.lstrip().startswith("File ")]
    assert files
    assert set(files) == {str(folder / "broken.py")}


def test_the_frames_of_an_error_and_of_its_cause_are_the_users(folder, capsys):
    write(folder, "inner.py", "def connect():\n    raise OSError('refused')\n")
    text = (
        "import inner, contextlib\n"
        "with contextlib.ExitStack() as stack:\n"
        "    try:\n        stack.enter_context(contextlib.contextmanager(inner.connect)())\n"
        "    except OSError as exc:\n        raise RuntimeError('no database') from exc\n"
    )
    write(folder, "broken.py", text)
    assert main(["run", "broken:app"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("triows: 'broken:app' can't be imported: RuntimeError: no database\n")
    assert "OSError: refused" in err
    assert "contextlib.py" not in err
    assert str(folder / "inner.py") in err


def test_a_current_folder_that_is_gone_ends_with_2(folder, capsys):
    (folder / "gone").mkdir()
    os.chdir(folder / "gone")
    (folder / "gone").rmdir()
    assert main(["routes", "chat:app"]) == 2
    assert capsys.readouterr().err.startswith("triows: the current folder can't be found")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["run"], "required: MODULE:APP"),
        (["run", "a:b", "--speed", "9"], "unrecognized arguments: --speed 9"),
        (["a:b"], "'a:b' isn't a command: write triows run a:b"),
        (["a.py", "--reload"], "'a.py' isn't a command: write triows run a.py --reload"),
        (["serve"], "'serve' isn't a command: write triows run MODULE:APP"),
        (["dev", "a:b"], "'dev' isn't a command: write triows run a:b"),
        (["run", "a:b", "9000"], "'9000' isn't an argument: write --port 9000"),
        (["run", "a:b", "--workers", "0"], "--workers: give a whole number, 1 or more, not '0'"),
        (["run", "a:b", "--workers", "1.5"], "give a whole number, 1 or more, not '1.5'"),
        (["run", "a:b", "--workers", "1025"], "a process of its own, and 1024 is the most"),
        (["run", "a:b", "--workers", "9" * 5000], "a process of its own, and 1024 is the most"),
        (["run", "a:b", "--workers", "-1"], "--workers: give a whole number, 1 or more, not '-1'"),
        (["run", "a:b", "--workers", "x"], "--workers: give a whole number, 1 or more, not 'x'"),
        (["run", "a:b", "--log-level", "loud"], "--log-level: give one of debug, info, warning"),
    ],
)
def test_a_command_that_can_not_be_read_ends_with_2_and_one_line(capsys, arguments, told):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("triows: ")
    assert told in line
    assert "--help" in line


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("-p 9000", "--port 9000"),
        ("-p9000", "--port 9000"),
        ("-p triows.pid", "triows stays in the foreground"),
        ("--timeout 30", "Timeouts(...)"),
        ("-t 30", "Timeouts(...)"),
        ("-t30", "Timeouts(...)"),
        ("--no-debug", "leave it out"),
        ("-d", "stays in the foreground"),
        ("-D", "stays in the foreground"),
        ("--uds a.sock", "--bind unix:PATH"),
        ("--reload-dir src", "write --reload, which watches"),
        ("--reload-include *.html", "write --reload, which watches"),
        ("--ssl-keyfile k.pem", "write --keyfile"),
        ("--ssl-certfile c.pem", "write --certfile"),
        ("-k trio", "always runs on Trio"),
        ("--worker-class uvloop", "always runs on Trio"),
        ("--log-config log.ini", "set up Python's logging"),
        ("--ws-max-size 9", "Limits(message_size=BYTES)"),
        ("--ws-ping-interval 9", "Timeouts(ping_interval=SECONDS)"),
        ("--timeout-graceful-shutdown 9", "Timeouts(shutdown_grace=SECONDS)"),
        ("--ciphers all", "write `ciphers = '...'` into a TOML file"),
        ("--timeout-keep-alive 9", "write --keep-alive"),
        ("--chdir src", "write --app-dir"),
        ("--worker 2", "did you mean --workers?"),
    ],
)
@pytest.mark.parametrize("app_first", [True, False])
def test_an_option_of_another_server_is_told_what_does_it_here(capsys, options, told, app_first):
    given = options.split()
    with pytest.raises(SystemExit) as caught:
        main(["run", *(["nowhere:app", *given] if app_first else [*given, "nowhere:app"])])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"triows: {given[0]!r} isn't an option: ")
    assert told in line


#: The options of uvicorn, Hypercorn, gunicorn, granian and daphne that `triows run` doesn't have.
ELSEWHERE = """
    --uds --fd --reload-dir --reload-include --reload-exclude --reload-delay
    --log-config --use-colors --no-use-colors
    --limit-concurrency --limit-max-requests --timeout-keep-alive
    --timeout-graceful-shutdown --ssl-keyfile --ssl-certfile --ssl-keyfile-password
    --ssl-version --ssl-cert-reqs --ssl-ca-certs --ssl-ciphers --header --server-header
    --no-server-header --date-header --no-date-header --h11-max-incomplete-event-size
    --loop --http --ws --ws-max-size --ws-max-queue --ws-ping-interval --ws-ping-timeout
    --ws-per-message-deflate --lifespan --interface --timeout-worker-healthcheck
    --ca-certs --cert-reqs --ciphers --debug --error-log --error-logfile -g -k
    --worker-class --keyfile-password --insecure-bind --max-requests
    --max-requests-jitter --pid --quic-bind --read-timeout --server-name --statsd-host
    --statsd-prefix -m -u --websocket-ping-interval --verify-mode
    --graceful-timeout --threads --worker-connections -t --timeout --limit-request-line
    --limit-request-fields --reload-engine --reload-extra-file --check-config
    --print-config --preload --reuse-port --chdir -D --daemon -e --env --worker-tmp-dir
    --user --group --log-file --logger-class --pythonpath --log-syslog -n --name
    --suppress-ragged-eofs --do-handshake-on-connect --blocking-threads
    --runtime-threads --runtime-mode --task-impl --backpressure --http1-keep-alive
    --http2-max-frame-size --no-ws --no-log --access-log-fmt --ssl-certificate --ssl-ca
    --url-path-prefix --respawn-failed-workers --workers-lifetime --workers-kill-timeout
    --working-dir --env-files --static-path-mount --reload-paths --process-name
    --pid-file --unix-socket --endpoint -v --verbosity --http-timeout --log-fmt
    --ping-interval --ping-timeout --application-close-timeout --proxy-headers-host -s
    --no-server-name --websocket_timeout --websocket_connect_timeout -d --verbose
    --quiet -q -A --app
"""


@pytest.mark.parametrize("option", ELSEWHERE.split())
def test_every_option_of_another_server_has_a_remedy(capsys, option):
    with pytest.raises(SystemExit) as caught:
        main(["run", "chat:app", option])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"triows: {option!r} isn't an option: ")


def test_the_level_of_the_log_may_be_in_capitals():
    assert _parser().parse_args(["run", "a:b", "--log-level", "DEBUG"]).loglevel == "debug"


# Other options


def test_routes_are_listed_of_an_application_that_a_function_makes(folder, capsys, monkeypatch):
    monkeypatch.delenv("MADE_WITH", raising=False)
    text = (
        "import os, triows\ndef make():\n    os.environ['MADE_WITH']\n    return triows.Triows()\n"
    )
    write(folder, "src/making_routes.py", text)
    write(folder, "made.env", "MADE_WITH=tea\n")
    options = ["--factory", "--app-dir", "src", "--env-file", "made.env"]
    assert main(["routes", "making_routes:make", *options]) == 0
    assert capsys.readouterr().out.startswith("METHOD")
    assert os.environ.pop("MADE_WITH") == "tea"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--bind localhost:80 --port 80", "--bind has both host and port: leave --port out"),
        ("--workers 2 --reload", "--reload serves by one process: leave --workers out"),
        ("--config two.toml --reload", "--reload serves by one process: leave two.toml: workers"),
        ("--config nowhere.toml", "--config: 'nowhere.toml' can't be read: there is no such file"),
        ("--config keyless.toml", "keyless.toml: certfile and --keyfile go together"),
        ("--certfile c.pem", "--certfile and --keyfile go together"),
        ("--config ca.toml", "ca.toml: ca_certs without verify_mode would let in clients"),
        ("--config ciphers.toml", "ciphers.toml: "),
        ("--config broken.toml", "broken.toml: certfile: '{}/c.pem' can't be read"),
        ("--env-file two.toml", "--env-file: 'two.toml', line 2: write NAME=value"),
        ("--config env.toml", "env.toml: env_file: '{}/no.env' can't be read"),
        ("--access-logfile no/a.log", "--access-logfile: 'no/a.log' can't be written: No such"),
        ("--app-dir nowhere", "--app-dir: there is no folder 'nowhere'"),
    ],
)
def test_options_that_can_not_work_end_with_2_and_a_sentence(folder, capsys, options, told):
    write(folder, "two.toml", "workers = 2\n[logconfig_dict]\n")
    write(folder, "keyless.toml", "certfile = 'c.pem'")
    write(folder, "ca.toml", "certfile = 'c.pem'\nkeyfile = 'k.pem'\nca_certs = 'ca.pem'")
    write(folder, "ciphers.toml", "ciphers = 'ALL'")
    write(folder, "broken.toml", "certfile = 'c.pem'\nkeyfile = 'k.pem'")
    write(folder, "env.toml", "env_file = 'no.env'")
    assert main(["run", "nowhere:app", *options.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"triows: {told.format(folder)}")


# Proxies


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--forwarded-allow-ips 10.0.0.1", "has an effect only with --proxy-headers"),
        (
            "--proxy-headers --forwarded-header",
            "leave out the one whose headers",
        ),
        ("--proxy-headers --forwarded-allow-ips localhost", "write '127.0.0.1' and '::1'"),
        ("--proxy-headers --forwarded-allow-ips 10.0.0.1/8", "write '10.0.0.0/8'"),
        ("--proxy-headers --forwarded-allow-ips *,::1", "trusts everybody"),
        ("--proxy-protocol b:1", "which are 127.0.0.1:8000: write one of them"),
        ("--bind a:1 --proxy-protocol a:1 --proxy-protocol b:1", "'b:1' isn't one of the addr"),
    ],
)
def test_a_mistake_about_proxies_ends_with_2_before_anything_is_imported(capsys, options, told):
    assert main(["run", "nowhere:app", *options.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"triows: {'--proxy' if 'proxy-p' in options else '--'}")
    assert told in line


# Certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files for TLS, valid or not."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    good, other = authority.issue_cert("127.0.0.1"), authority.issue_cert("127.0.0.1")
    good.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    good.private_key_pem.write_to_path(folder / "key.pem")
    other.private_key_pem.write_to_path(folder / "other.pem")
    (folder / "junk.pem").write_text("junk")
    key = load_pem_private_key(good.private_key_pem.bytes(), None)
    encryption = BestAvailableEncryption(b"secret")
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    (folder / "encrypted.pem").write_bytes(encrypted)
    return folder


@pytest.mark.parametrize("options", [[], ["--workers", "2"], ["--reload"]])
@pytest.mark.parametrize(
    ("certfile", "keyfile", "told"),
    [
        ("none.pem", "key.pem", "--certfile: '{}/none.pem' can't be read: there is no such file"),
        ("cert.pem", "none.pem", "--keyfile: '{}/none.pem' can't be read: there is no such file"),
        ("", "key.pem", "--certfile: '{}/' can't be read: it is a folder"),
        ("junk.pem", "key.pem", "--certfile: '{}/junk.pem' has no certificate in PEM format"),
        ("key.pem", "cert.pem", "--certfile: '{}/key.pem' has no certificate in PEM format"),
        ("cert.pem", "junk.pem", "--keyfile: '{}/junk.pem' has no private key in PEM format"),
        ("cert.pem", "other.pem", "--keyfile: the key in '{}/other.pem' doesn't fit the cert"),
        ("cert.pem", "encrypted.pem", "--keyfile: the key in '{}/encrypted.pem' is encrypted"),
    ],
)
def test_a_certificate_that_can_not_be_used_ends_with_2_and_names_its_option(
    certificates, capsys, certfile, keyfile, told, options
):
    files = ["--certfile", f"{certificates}/{certfile}", "--keyfile", f"{certificates}/{keyfile}"]
    assert main(["run", "nowhere:app", *files, *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"triows: {told.format(certificates)}")


PASSWORD_FILES = [
    ("none", "--keyfile-password-file: '{}/none' can't be read: No such file or directory"),
    ("", "--keyfile-password-file: '{}/' can't be read: Is a directory"),
    ("empty", "--keyfile-password-file: the first line of '{}/empty' is empty"),
    ("binary", "--keyfile-password-file: '{}/binary' can't be read: it isn't text"),
    ("wrong", "--keyfile: '{}/encrypted.pem' has no private key in PEM format, or its password"),
]


@pytest.mark.parametrize(("file", "told"), PASSWORD_FILES, ids=dict(PASSWORD_FILES))
def test_a_password_that_can_not_be_used_ends_with_2_and_one_line(certificates, capsys, file, told):
    (certificates / "empty").write_text("\nsecret\n")
    (certificates / "binary").write_bytes(b"\xff\n")
    (certificates / "wrong").write_text("guessed\n")
    files = ["--certfile", f"{certificates}/cert.pem", "--keyfile", f"{certificates}/encrypted.pem"]
    option = ["--keyfile-password-file", f"{certificates}/{file}"]
    assert main(["run", "nowhere:app", *files, *option]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"triows: {told.format(certificates)}")
    assert "guessed" not in line


def test_ciphers_that_are_not_there_are_refused_under_their_own_name(
    certificates, capsys, tmp_path
):
    config = tmp_path / "triows.toml"
    files = f'certfile = "{certificates}/cert.pem"\nkeyfile = "{certificates}/key.pem"\n'
    config.write_text(f'{files}ciphers = "NONE-SUCH"\n')
    assert main(["run", "nowhere:app", "--config", str(config)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("triows.toml: ciphers: OpenSSL has none of the ciphers 'NONE-SUCH'")


def test_a_password_without_a_key_is_refused(certificates, capsys):
    (certificates / "password").write_text("secret\n")
    option = ["--keyfile-password-file", f"{certificates}/password"]
    assert main(["run", "nowhere:app", *option]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "triows: --keyfile-password-file has an effect only with a certificate and a key"


def test_an_encrypted_key_is_read_with_the_password_in_a_file(certificates, capsys):
    (certificates / "password").write_text("secret\n")
    files = ["--certfile", f"{certificates}/cert.pem", "--keyfile", f"{certificates}/encrypted.pem"]
    option = ["--keyfile-password-file", f"{certificates}/password"]
    assert main(["run", "nowhere:app", *files, *option]) == 2
    assert "there is no module 'nowhere'" in capsys.readouterr().err


def test_ctrl_c_ends_the_import_by_the_signal_and_means_what_it_did_afterwards(folder):
    write(folder, "looking.py", "import signal\nseen = signal.getsignal(signal.SIGINT)\n")
    assert main(["routes", "looking:seen"]) == 2
    assert sys.modules["looking"].seen is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_knows_its_version(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"triows {version('triows')}\n"


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("unix:", "'unix:/run/app.sock'"),
        ("8000", "'127.0.0.1:8000' for this machine alone, or '0.0.0.0:8000'"),
        ("::1", "write '[::1]:8000'"),
        ("https://localhost:8000/chat", "write it without 'https://', as in 'localhost:8000'"),
    ],
)
def test_an_address_that_is_none_is_refused_before_anything_is_imported(address, told, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["run", "nowhere:app", "--bind", address])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"triows: argument -b/--bind: {address!r} isn't an address: ")
    assert told in line


# Printing the tree


def test_the_tree_is_printed_on_a_signal_only_if_asked_for(capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert "--tree-on-signal" in capsys.readouterr().out
    assert not _parser().parse_args(["run", "chat:app"]).tree_on_signal
    assert _parser().parse_args(["run", "--tree-on-signal", "chat:app"]).tree_on_signal


def test_a_system_without_the_signal_is_told_so(monkeypatch, capsys):
    monkeypatch.delattr(signal, "SIGUSR1")
    assert main(["run", "--tree-on-signal", "chat:app"]) == 2
    assert "--tree-on-signal needs a system with SIGUSR1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "exit_code"), [("3", 3), ("", None), ("'a reason'", "a reason"), ("0", 0)]
)
def test_an_import_that_calls_exit_is_told_and_its_code_is_kept(folder, capsys, code, exit_code):
    write(folder, "leaving.py", f"import sys\n\nsys.exit({code})\n")
    with pytest.raises(SystemExit) as caught:
        main(["run", "leaving:app"])
    assert caught.value.code == exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"triows: 'leaving:app': {folder / 'leaving.py'}:3 calls sys.exit({code})"
    )
    assert 'put it below `if __name__ == "__main__":`' in line


def test_a_lifespan_that_calls_exit_is_told(folder, capsys):
    text = """import sys
from triows import Triows

async def lifespan(app):
    sys.exit(7)
    yield

app = Triows(lifespan=lifespan)
"""
    write(folder, "resigning.py", text)
    with pytest.raises(SystemExit) as caught:
        main(["run", "resigning:app", "--bind", "127.0.0.1:0"])
    assert caught.value.code == 7
    assert "resigning.py:5 calls sys.exit(7)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ('logconfig = "nofile.ini"', "logconfig: "),
        ("logconfig_dict = {version = 3}", "logconfig_dict: ValueError: Unsupported version: 3"),
    ],
)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_configuration_of_logging_that_is_broken_ends_with_2_and_one_line(
    capsys, tmp_path, monkeypatch, setting, told, workers
):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "logged_app.py").write_text("import triows\napp = triows.Triows()\n")
    config = tmp_path / "triows.toml"
    config.write_text(f"{setting}\nbind = '127.0.0.1:0'\n")
    assert main(["run", "logged_app:app", "--workers", workers, "--config", str(config)]) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if " INFO " not in one]
    assert line.startswith(f"triows: {config}: {told}")
