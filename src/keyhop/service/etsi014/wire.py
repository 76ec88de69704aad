"""A connected, non-blocking socket on the event loop, TLS or plain, that carries a connection's bytes.

Bounds on memory: one read of 16 KiB, with TLS the part of a record that was read before it, and what was written and
not taken, which is never more than the answer under way and a farewell, because a connection answers nothing while it
is `blocked`.
"""

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from collections.abc import Callable

from keyhop.service.etsi014.owner import NOBODY, Owner
from keyhop.service.etsi014.tls import Tls

READ_BYTES = 16 * 1024
_MOST_DROPPED_BYTES = 1024 * 1024  # of what comes in after our last byte
_BUSY = (BlockingIOError, InterruptedError)


class SocketWire:
    """`connection.Wire` on a socket, once `start` has been called."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        tls: Tls | None = None,
        free: Callable[[Tls], None] = lambda tls: None,
    ) -> None:
        """`tls` is there, its handshake done, unless the socket is a plain one; `free` gets it in the end."""
        self._loop = loop
        self._sock = sock
        self._tls = tls
        self._free = free
        self._fd = sock.fileno()
        self._rest = b""
        self._early: bytes | None = None
        self._dropped_bytes = 0
        self._reading = self._writing = self._heard_all = self._closing = self._ended = False
        self.owner: Owner

    def start(self, owner: Owner, early: bytes = b"") -> None:
        """Tells `owner` from now on; `early` was read already, as part of what comes."""
        self.owner = owner
        self.read_on(True)
        if early or (self._tls is not None and self._tls.pending):
            self._early = early
            owner.readable()

    @property
    def blocked(self) -> bool:
        """Whether the client has not taken what was written."""
        return bool(self._rest)

    def read_on(self, on: bool) -> None:
        """Whether to go on telling that there is something to read."""
        if on is self._reading or self._ended or (on and self._heard_all):
            return
        self._reading = on
        if on:
            self._loop.add_reader(self._fd, self._readable)
        else:
            self._loop.remove_reader(self._fd)

    def read(self) -> None:
        """Reads once and tells the owner what came; a wire that is closing drops it."""
        if self._ended:
            return
        if self._early is not None:
            early, self._early = self._early, None
            self._arrived(early)
            return
        try:
            data = self._sock.recv(READ_BYTES)
        except _BUSY:
            return
        except OSError:
            self.abort()
            return
        if data:
            self._arrived(data)
        else:
            self._end_hearing()

    def write(self, data: bytes) -> None:
        """Sends, now or when the client takes it."""
        if self._ended:
            return
        if self._tls is not None:
            try:
                data = self._tls.seal(data)
            except OSError:
                self.abort()
                return
        self._put(data)

    def untaken(self) -> bool:
        """Whether the client has not acknowledged all bytes; of all buffers the kernel's is the first to be full."""
        (count,) = struct.unpack("i", fcntl.ioctl(self._fd, termios.TIOCOUTQ, bytes(4)))
        return bool(count)

    def close(self) -> None:
        """Says goodbye after what was written, and drops what still comes in, until the far end closes too."""
        if self._closing or self._ended:
            return
        self._closing = True
        if self._tls is not None:
            self._put(self._tls.goodbye())
        if not self._rest:
            self._shut()
        self.read_on(True)

    def abort(self) -> None:
        """Ends now."""
        if self._ended:
            return
        self.read_on(False)
        self._write_on(False)
        self._ended = True
        self._rest = b""
        self._sock.close()
        if self._tls is not None:
            self._free(self._tls)
            self._tls = None
        owner, self.owner = self.owner, NOBODY
        owner.lost()

    def _readable(self) -> None:
        self.owner.readable()  # who that is can change

    def _arrived(self, data: bytes) -> None:
        if self._closing:
            self._dropped_bytes += len(data)
            if self._dropped_bytes > _MOST_DROPPED_BYTES:
                self.abort()
        elif self._tls is None:
            self.owner.receive(data)
        elif not self._ended:
            self._open(self._tls, data)

    def _open(self, tls: Tls, data: bytes) -> None:
        data = tls.open(data)
        if due := tls.due():
            if self._rest:  # it asks for new keys and takes nothing
                self.abort()
                return
            self._put(due)
        if data:
            self.owner.receive(data)
        if tls.broken:
            self.abort()
        elif tls.ended:
            self._end_hearing()

    def _end_hearing(self) -> None:
        if self._ended or (self._closing and not self._rest):
            self.abort()
            return
        self.read_on(False)
        self._heard_all = True
        if not self._closing:  # else the last word is under way
            self.owner.heard_all()

    def _writable(self) -> None:
        data, self._rest = self._rest, b""
        self._send(data)
        if self._rest or self._ended:
            return
        if self._closing:
            self._shut()
        else:
            self.owner.drained()

    def _put(self, data: bytes) -> None:
        if self._rest:
            self._rest += data
        else:
            self._send(data)

    def _send(self, data: bytes) -> None:
        """As much as goes; `_rest` is what does not."""
        at = 0
        try:
            at = self._sock.send(data)
        except _BUSY:
            pass
        except OSError:
            self.abort()
            return
        self._rest = data[at:]
        self._write_on(at < len(data))

    def _write_on(self, on: bool) -> None:
        if on is self._writing:
            return
        self._writing = on
        if on:
            self._loop.add_writer(self._fd, self._writable)
        else:
            self._loop.remove_writer(self._fd)

    def _shut(self) -> None:
        """Everything is said. The far end is waited for, to close at once could lose that, unless it has said all."""
        if self._heard_all:
            self.abort()
            return
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
