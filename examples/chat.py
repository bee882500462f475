"""
A chat. The room is in the path, the name in a session, and everybody sees who is here.

    triows run examples.chat:app

Then open http://127.0.0.1:8000 in two windows. Programs can say something, too:

    curl --json '{"name": "Build", "text": "It passed"}' \
        http://127.0.0.1:8000/rooms/lobby/messages

Four things are worth a look:

* Being in a room is a resource. However a connection ends, its member leaves the room, and
  the others see it.
* Nobody waits for anybody. Each member has a queue for events, and a task of their connection
  empties it. If the queue is full, the member has stopped reading. Then the connection closes
  with 1008, and the others notice nothing.
* The page logs in with a form. Starlette's ``SessionMiddleware`` keeps the name in a signed cookie,
  and the browser sends that with the handshake of the WebSocket.
* Requests and WebSockets share ``Rooms``, an object that lives as long as the application.

``SessionMiddleware`` needs itsdangerous. Set ``CHAT_SECRET`` if several workers serve the chat.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Annotated

import msgspec
import trio
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware

from triows import (
    AsyncResource,
    HTTPException,
    HTTPProblem,
    Limits,
    Param,
    Request,
    Route,
    Triows,
    WebSocket,
    WebSocketClose,
    WebSocketRoute,
    status,
    use,
)

#: How many events may wait for one member, in addition to what the system and the outbox hold.
BACKLOG = 64


class Said(msgspec.Struct, tag="said"):
    name: str
    text: str


class Here(msgspec.Struct, tag="here"):
    names: list[str]


class Member:
    def __init__(self, room: str, name: str, queue: trio.MemorySendChannel[Said | Here]) -> None:
        self.room = room
        self.name = name
        self.keeps_up = trio.CancelScope()
        self._queue = queue

    def tell(self, event: Said | Here) -> None:
        try:
            self._queue.send_nowait(event)
        except trio.WouldBlock:
            self.keeps_up.cancel()


class Rooms:
    def __init__(self) -> None:
        # Peers choose the names of rooms, so a room goes when its last member leaves.
        self._members: dict[str, set[Member]] = {}

    def enter(self, member: Member) -> None:
        self._members.setdefault(member.room, set()).add(member)
        self._tell_who_is_here(member.room)

    def leave(self, member: Member) -> None:
        self._members[member.room].remove(member)
        if self._members[member.room]:
            self._tell_who_is_here(member.room)
        else:
            del self._members[member.room]

    def tell(self, room: str, event: Said | Here) -> int:
        """Tell all who are in a room. Return how many they are."""
        members = self._members.get(room, ())
        for member in members:
            member.tell(event)
        return len(members)

    def _tell_who_is_here(self, room: str) -> None:
        self.tell(room, Here(sorted(member.name for member in self._members[room])))


# There is one instance for the application, and every connection gets it.
SharedRooms = Annotated[Rooms, use(Rooms, scope="app")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
RoomName = Annotated[str, msgspec.Meta(pattern=r"^[\w-]{1,40}$")]


# Who somebody is

login = Route("login")


@login.post
async def log_in(request: Request, name: Annotated[Name, Param("form")]) -> None:
    """Let a browser choose a name. A real program also asks for a password."""
    request.session["name"] = name


def name_of(ws: WebSocket) -> str:
    """Find the name of whoever connects, or refuse the connection."""
    try:
        return str(ws.scope["session"]["name"])
    except KeyError:
        raise HTTPException(401, "log in first") from None


# Being in a room


async def deliver(
    ws: WebSocket, member: Member, queue: trio.MemoryReceiveChannel[Said | Here]
) -> None:
    with member.keeps_up:
        async for event in queue:
            await ws.send_json(event)
    raise WebSocketClose(1008, "too slow")


async def membership(
    ws: WebSocket,
    nursery: trio.Nursery,
    rooms: SharedRooms,
    room: RoomName,
    name: Annotated[str, use(name_of)],
) -> AsyncResource[Member]:
    """Keep the member in the room, from the handshake to the end of the connection."""
    await ws.accept()
    send, receive = trio.open_memory_channel[Said | Here](BACKLOG)
    member = Member(room, name, send)
    nursery.start_soon(deliver, ws, member, receive)
    rooms.enter(member)
    try:
        yield member
    finally:
        rooms.leave(member)


chat = WebSocketRoute("rooms/{room}", limits=Limits(message_size=4096))


@chat.endpoint
async def talk(
    ws: WebSocket, rooms: SharedRooms, member: Annotated[Member, use(membership)]
) -> None:
    async for text in ws.iter_text():
        if text.strip():
            rooms.tell(member.room, Said(member.name, text))


# What programs may do


class Message(msgspec.Struct):
    name: Name
    text: Text


class Told(msgspec.Struct):
    members: int


class EmptyRoom(HTTPProblem[str]):
    """There is nobody in this room."""

    __status__ = status.NOT_FOUND


messages = Route("rooms/{room}/messages", limits=Limits(body=8192), problems=[EmptyRoom])


@messages.post
async def post(rooms: SharedRooms, room: RoomName, message: Message) -> Told:
    """Say something in a room. When the answer comes, all who are there have it in their queue."""
    told = rooms.tell(room, Said(message.name, message.text))
    if not told:
        raise EmptyRoom
    return Told(told)


healthz = Route("healthz")


@healthz.get
async def is_alive() -> str:
    """Answer whoever watches the server, such as a load balancer."""
    return "ok"


SESSIONS = Middleware(
    SessionMiddleware,
    secret_key=os.environ.get("CHAT_SECRET") or secrets.token_urlsafe(),
    max_age=None,  # the browser forgets the cookie when it is closed
    same_site="strict",
)
app = Triows(chat, login, messages, healthz, middlewares=[SESSIONS])
app.static("/", Path(__file__).with_name("static"), html=True)
