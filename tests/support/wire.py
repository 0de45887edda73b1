"""Messages between `fork_server.py` and its server: numbers, and pieces of known length."""

import socket
import struct
from typing import Final

LENGTH: Final = struct.Struct("!I")
NUMBER: Final = struct.Struct("!q")


def receive_number(connection: socket.socket) -> int:
    return int(NUMBER.unpack(receive_exactly(connection, NUMBER.size))[0])


def receive_exactly(connection: socket.socket, size: int) -> bytes:
    """Raises EOFError when the other side is gone."""
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise EOFError("the fork server is gone; see fork-server.log in the session's folder")
        data += piece
    return data
