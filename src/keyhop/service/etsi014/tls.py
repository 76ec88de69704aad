"""TLS of one connection, apart from its socket: bytes from the network in, bytes for the network out.

OpenSSL could read the socket itself, but then the client decides how long that takes: while it sends nothing but new
keys (KeyUpdate, 27 bytes each) or asks to renegotiate, OpenSSL goes on reading inside one call, and the event loop
stands still. From memory OpenSSL reads no more than one read of the socket brought. That is also one system call for a
record instead of two.
"""

import contextlib
import ssl

_RECORD_BYTES = 16 * 1024


class Tls:
    """The server's end. `ended` says that nothing more can be read: the client has said goodbye or `broken` TLS."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self.ended = self.broken = False

    def handshake(self, data: bytes) -> bool:
        """Goes on with what came; whether it is over. Raises OSError when it has failed: `due` may say why, in TLS."""
        self._in.write(data)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    @property
    def certificate(self) -> bytes:
        """The client's (DER)."""
        return self._tls.getpeercert(binary_form=True) or b""

    @property
    def pending(self) -> bool:
        """Whether more came with the end of the handshake: `open` with nothing reads it."""
        return bool(self._in.pending)

    def open(self, data: bytes) -> bytes:
        """What is whole of what came."""
        self._in.write(data)
        opened = self._read()
        while self._in.pending and not self.ended:
            opened += self._read()
        return opened

    def seal(self, data: bytes) -> bytes:
        """Raises OSError, also when the client has sent part of a request for new keys: the rest would come first."""
        done = self._tls.write(data)
        while done < len(data):
            done += self._tls.write(memoryview(data)[done:])
        return self._out.read()

    def due(self) -> bytes:
        """What TLS itself has to say to the client."""
        return self._out.read() if self._out.pending else b""

    def goodbye(self) -> bytes:
        """The last bytes for the client."""
        with contextlib.suppress(OSError):  # also that TLS would like to read the client's goodbye
            self._tls.unwrap()
        return self._out.read()

    def _read(self) -> bytes:
        try:
            opened = self._tls.read(_RECORD_BYTES)
        except ssl.SSLWantReadError:
            return b""
        except OSError:
            opened, self.broken = b"", True
        self.ended = not opened
        return opened
