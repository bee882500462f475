"""
A chat. The room is in the path, the name in the query, and everybody sees who is here.

    triows run examples.chat:app

Then open http://127.0.0.1:8000 in two windows. Two things are worth a look:

* Being in a room is a resource. However a connection ends, its member leaves the room, and
  the others see it.
* Nobody waits for anybody. Each member has a queue for events, and a task of their connection
  empties it. If the queue is full, the member has stopped reading. Then the connection closes
  with 1008, and the others notice nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import trio

from triows import AsyncResource, Limits, Triows, WebSocket, WebSocketClose, WebSocketRoute, use

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

    def tell(self, room: str, event: Said | Here) -> None:
        for member in self._members.get(room, ()):
            member.tell(event)

    def _tell_who_is_here(self, room: str) -> None:
        self.tell(room, Here(sorted(member.name for member in self._members[room])))


# There is one instance for the application, and every connection gets it.
SharedRooms = Annotated[Rooms, use(Rooms, scope="app")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
RoomName = Annotated[str, msgspec.Meta(pattern=r"^[\w-]{1,40}$")]


async def deliver(
    ws: WebSocket, member: Member, queue: trio.MemoryReceiveChannel[Said | Here]
) -> None:
    with member.keeps_up:
        async for event in queue:
            await ws.send_json(event)
    raise WebSocketClose(1008, "too slow")


async def membership(
    ws: WebSocket, nursery: trio.Nursery, rooms: SharedRooms, room: RoomName, name: Name
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


app = Triows(chat)
app.static("/", Path(__file__).with_name("static"), html=True)
