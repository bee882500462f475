"""
A bare loop over sockets: ``python -m benchmarks.servers.bare_loop PORT``.

Not a peer, since it checks nothing, waits for nobody and has no handlers: it shows what Python can
do at most with a system call for each delivery.
"""

from __future__ import annotations

import select
import socket
import sys

from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol


class Client:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.echoes = self.is_over = False
        self._protocol = ServerProtocol()

    def messages(self) -> list[bytes]:
        """Read what is there. Return the messages as frames to send."""
        protocol = self._protocol
        data = self.socket.recv(2**16)
        protocol.receive_data(data)
        frames = []
        for event in protocol.events_received():
            if isinstance(event, Request):
                self.echoes = event.path == "/echo"
                protocol.send_response(protocol.accept(event))
            elif event.opcode in {Opcode.TEXT, Opcode.BINARY}:
                frames.append(event.serialize(mask=False))
        for answer in protocol.data_to_send():
            if answer:
                self.socket.sendall(answer)
        self.is_over = not data or protocol.close_expected()
        return frames


def serve(client: Client, clients: dict[int, Client]) -> None:
    for frame in client.messages():
        if client.echoes:
            client.socket.send(frame)
        else:
            for member in clients.values():
                member.socket.send(frame)
    if client.is_over:
        del clients[client.socket.fileno()]
        client.socket.close()


def main() -> None:
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=2048)
    poll, clients = select.epoll(), dict[int, Client]()
    poll.register(listener, select.EPOLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd in clients:
                serve(clients[fd], clients)
            else:
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[sock.fileno()] = Client(sock)
                poll.register(sock, select.EPOLLIN)


if __name__ == "__main__":
    main()
