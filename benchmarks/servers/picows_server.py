"""
The load's own library as a server: ``python -m benchmarks.servers.picows_server PORT``.

Not a peer, since a handler here is a callback: it shows what the load can measure at most.
"""

from __future__ import annotations

import sys

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

members: set[WSTransport] = set()


class Echo(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        else:
            transport.send(frame.msg_type, frame.get_payload_as_bytes(), fin=frame.fin)


class FanOut(WSListener):
    def on_ws_connected(self, transport: WSTransport) -> None:
        members.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        members.discard(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        else:
            message = frame.get_payload_as_bytes()
            for member in list(members):
                member.send(frame.msg_type, message)


def listener(request: WSUpgradeRequest) -> WSListener:
    return Echo() if request.path == b"/echo" else FanOut()


async def main() -> None:
    server = await ws_create_server(listener, "127.0.0.1", int(sys.argv[1]))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
