"""A connected, non-blocking socket on the event loop, TLS or plain, that carries a connection's bytes.

With TLS, OpenSSL reads and writes the socket itself: half the CPU time of asyncio's own TLS, which takes every byte
through two memory buffers. Bounds on memory: one read of 16 KiB, and what was written and not taken, which is
never more than the answer under way and a farewell, because a connection answers nothing while it is `blocked`.
"""

import asyncio
import contextlib
import fcntl
import socket
import ssl
import struct
import termios
from collections.abc import Callable
from typing import Protocol

READ_BYTES = 16 * 1024  # a TLS record: when it is read, none of it is left inside OpenSSL
_WRITE_BYTES = 16 * 1024  # a record too: OpenSSL wants to be called again with the very record that did not fit
_MOST_DROPPED_BYTES = 1024 * 1024  # of what comes in after our last byte
_BUSY = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError, InterruptedError)


class Owner(Protocol):
    """Who is told what happens on the wire."""

    def receive(self, data: bytes) -> None:
        """Bytes came."""
        ...

    def drained(self) -> None:
        """Everything that was written has been taken."""
        ...

    def lost(self) -> None:
        """The wire has ended; told once."""
        ...


class SocketWire:
    """`connection.Wire` on a socket. Reads once `start` has been called."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        """A socket of `ssl.SSLSocket`, its handshake done, or a plain one."""
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._read: Callable[[int], bytes | None] = sock.recv
        self._write: Callable[[bytes | memoryview], int] = sock.send
        if isinstance(sock, ssl.SSLSocket):
            self._read, self._write = sock.read, sock.write
        self._rest = b""
        self._dropped_bytes = 0
        self._reading = self._writing = self._closing = self._ended = False
        self.owner: Owner

    def start(self, owner: Owner) -> None:
        """Tells `owner` from now on."""
        self.owner = owner
        self.read_on(True)

    @property
    def blocked(self) -> bool:
        """Whether the client has not taken what was written."""
        return bool(self._rest)

    def read_on(self, on: bool) -> None:
        """Whether to go on reading."""
        if on is self._reading or self._ended:
            return
        self._reading = on
        if on:
            self._loop.add_reader(self._fd, self._readable)
        else:
            self._loop.remove_reader(self._fd)

    def write(self, data: bytes) -> None:
        """Sends, now or when the client takes it."""
        if self._rest:
            self._rest += data
        elif not self._ended:
            self._send(data)

    def untaken(self) -> bool:
        """Whether the client has not acknowledged all bytes; of all buffers the kernel's is the first to be full."""
        (count,) = struct.unpack("i", fcntl.ioctl(self._fd, termios.TIOCOUTQ, bytes(4)))
        return bool(count)

    def close(self) -> None:
        """Says goodbye after what was written, and drops what still comes in, until the far end closes too."""
        if self._closing or self._ended:
            return
        self._closing = True
        if not self._rest:
            self._say_goodbye()
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
        self.owner.lost()

    def _readable(self) -> None:
        try:
            data = self._read(READ_BYTES)
        except (ssl.SSLWantReadError, BlockingIOError, InterruptedError):
            return
        except OSError:  # or a client that asks for new TLS keys and takes nothing
            data = b""
        if data and not self._closing:
            self.owner.receive(data)
            return
        self._dropped_bytes += len(data or b"")
        if not data or self._dropped_bytes > _MOST_DROPPED_BYTES:
            self.abort()

    def _writable(self) -> None:
        data, self._rest = self._rest, b""
        self._send(data)
        if self._rest or self._ended:
            return
        if self._closing:
            self._say_goodbye()
        else:
            self.owner.drained()

    def _send(self, data: bytes) -> None:
        """As much as goes; `_rest` is what does not."""
        at, size = 0, len(data)
        try:
            at = self._write(data if size <= _WRITE_BYTES else memoryview(data)[:_WRITE_BYTES])
            while at < size:
                at += self._write(memoryview(data)[at : at + _WRITE_BYTES])
        except _BUSY:
            pass
        except OSError:
            self.abort()
            return
        self._rest = data[at:]
        self._write_on(at < size)

    def _write_on(self, on: bool) -> None:
        if on is self._writing:
            return
        self._writing = on
        if on:
            self._loop.add_writer(self._fd, self._writable)
        else:
            self._loop.remove_writer(self._fd)

    def _say_goodbye(self) -> None:
        """TLS ends before TCP does. From here on the socket is read without TLS: nobody looks at what comes."""
        with contextlib.suppress(OSError):  # also that TLS would like to read the client's goodbye
            if isinstance(self._sock, ssl.SSLSocket):
                self._sock.unwrap()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        self._read = self._sock.recv
