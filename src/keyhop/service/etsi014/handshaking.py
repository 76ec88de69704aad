"""A client whose handshake goes on."""

import socket
from dataclasses import dataclass

from keyhop.service.etsi014.tls import Tls

READ_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class HandshakingClient:
    """A socket that does not block, and our end of its TLS."""

    sock: socket.socket
    tls: Tls

    def go_on(self) -> bool:
        """Takes what came and says what is due; whether the handshake is over. Raises OSError when it has failed."""
        data = self.sock.recv(READ_BYTES)
        if not data:
            raise ConnectionError("it has gone")
        try:
            return self.tls.handshake(data)
        finally:
            due = self.tls.due()
            if due and self.sock.send(due) < len(due):  # a new connection has room for all that a handshake says
                raise ConnectionError("it takes nothing")
