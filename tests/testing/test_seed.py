"""
A program and its test from lihil's manual. The project began with them.

Only the imports and the name of the class are changed.
"""

import re

PROGRAM = """
from typing import Annotated

from lihil import AsyncResource, Ignore, Lihil, WebSocket, WebSocketRoute, use

ws_route = WebSocketRoute("web_socket/{session_id}")

async def ws_factory(ws: Ignore[WebSocket]) -> Ignore[AsyncResource[WebSocket]]:
    await ws.accept()
    yield ws
    await ws.close()

@ws_route.ws_handler
async def ws_handler(
    ws: Annotated[WebSocket, use(ws_factory, reuse=False)],
    session_id: str,
    max_users: int,
):
    assert session_id == "session123" and max_users == 5
    await ws.send_text("Hello, world!")

lhl = Lihil()
lhl.include_routes(ws_route)
"""

TEST = """
from lihil.vendors import TestClient

client = TestClient(lhl)
with client:
    with client.websocket_connect(
        "/web_socket/session123?max_users=5"
    ) as websocket:
        data = websocket.receive_text()
        assert data == "Hello, world!"
"""

#: What is replaced in the program. No other lines say lihil.
NAMES = {"from lihil import": "from triows import", "Lihil": "Triows"}

#: What is replaced in the test.
IMPORTS = {"from lihil.vendors import": "from triows.testing import"}


def moved(text, table):
    for theirs, ours in table.items():
        text = text.replace(theirs, ours)
    return text


def test_the_program_is_another_only_where_it_says_lihil():
    assert re.findall(r"\w*lihil\w*", PROGRAM, re.IGNORECASE) == ["lihil", "Lihil", "Lihil"]
    assert "lihil" not in moved(PROGRAM, NAMES).lower()


def test_the_test_is_another_only_where_it_imports():
    pairs = zip(TEST.splitlines(), moved(TEST, IMPORTS).splitlines(), strict=True)
    assert [theirs for theirs, ours in pairs if theirs != ours] == [
        "from lihil.vendors import TestClient"
    ]


def test_the_test_passes():
    names = {}
    exec(moved(PROGRAM, NAMES), names)
    exec(moved(TEST, IMPORTS), names)
    assert names["data"] == "Hello, world!"
