"""The asyncio shell around peers: one connection a peer, mutual TLS 1.3, reconnected with back-off.

The node with the lower name dials. Whoever answers must show a certificate whose subject CN is the KME ID expected
(the dialling side) or that of a configured peer (the accepting side). Frames that leave in one turn of the event
loop are written together; an empty frame every two seconds tells a live peer from a dead one.
"""

import asyncio
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

import structlog
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keyhop.core.clock import Clock
from keyhop.core.errors import PeerError, StoreFailure
from keyhop.core.ids import KmeId
from keyhop.core.watched import watched
from keyhop.network.peer import Peer
from keyhop.network.wire import Frames, frame

HANDSHAKE_TIMEOUT_S = 5.0
HEARTBEAT_S = 2.0
SILENCE_S = 8.0
MAX_UNWRITTEN_BYTES = 32 << 20
MAX_STRANGERS = 64
COMPLAIN_S = 60.0
BACK_OFF_S = (0.1, 5.0)

_log = structlog.get_logger(__name__)


class IsRevoked(Protocol):
    """Whether a certificate (DER) was revoked."""

    def __call__(self, der: bytes) -> bool: ...


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Where a peer listens."""

    host: str
    port: int


def common_name(der: bytes) -> str | None:
    """The certificate's only subject CN, or None."""
    names = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else None


def may_serve(der: bytes) -> bool:
    """Whether the certificate may be a server's, as a node's may and an SAE's may not, whatever its name is."""
    try:
        usages = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return True  # for any usage (RFC 5280, 4.2.1.12)
    return ExtendedKeyUsageOID.SERVER_AUTH in usages.value


class PeerConnection(asyncio.Protocol):
    """One connection to one peer, from the finished handshake to its end."""

    def __init__(self, connections: "Connections", expected: KmeId | None) -> None:
        self._connections = connections
        self._expected = expected
        self._frames = Frames()
        self._transport: asyncio.WriteTransport | None = None
        self._unsent: list[bytes] = []
        self.certificate = b""
        self.peer: Peer | None = None
        self.heard = False
        self.last_heard = 0.0
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's does not inherit from it
        tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
        self.certificate = tls.getpeercert(binary_form=True) or b""
        self.last_heard = self._connections.clock.monotonic()
        try:
            self.peer = self._connections.admit(self, self._expected)
        except PeerError as error:
            self._connections.complain(self._expected, f"refused: {error.message}")
            self.abort()
            return
        try:
            self.peer.connect(self.send)
        except StoreFailure:
            self.abort()

    def data_received(self, data: bytes) -> None:
        self.last_heard = self._connections.clock.monotonic()
        if self.peer is None:
            return
        if not self.heard:
            self.heard = True  # with TLS 1.3 the dialling side cannot know before that it was let in
            self._connections.heard(self.peer.id)
        try:
            for message in self._frames.feed(data):
                if message:
                    self.peer.received(message)
        except PeerError as error:
            _log.warning("peer broke the protocol", peer=self.peer.id, reason=error.message)
            self.abort()
        except StoreFailure:
            self.abort()
        except Exception as error:  # noqa: BLE001
            # Nothing that a peer sends may do this; if it does, the session is over and the next one compares marks.
            _log.exception("a message from a peer could not be handled", peer=self.peer.id, kind=type(error).__name__)
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.ended.set()  # first: whoever dials waits for it, whatever becomes of what `gone` tells
        self._connections.gone(self, str(exc) if exc else "closed")

    def send(self, message: bytes) -> None:
        """Writes at the end of this turn of the loop, together with what else is sent in it."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._write)
        self._unsent.append(frame(message))

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def retire(self) -> None:
        """Another connection has taken its place: what still comes is not heard any more."""
        self.peer = None
        self.close()

    def close(self) -> None:
        """Ends the connection once everything is written."""
        if self._transport is not None:
            self._write()
            self._transport.close()

    def _write(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._transport is None or not unsent:
            return
        self._transport.write(b"".join(unsent))
        if self._transport.get_write_buffer_size() > MAX_UNWRITTEN_BYTES:
            self.abort()


class Connections:
    """All connections of a node to its peers. `on_failure` is told what has ended the dialling, or the heartbeat."""

    def __init__(
        self,
        me: KmeId,
        peers: Mapping[KmeId, Peer],
        addresses: Mapping[KmeId, PeerAddress],
        server_tls: ssl.SSLContext,
        client_tls: ssl.SSLContext,
        is_revoked: IsRevoked,
        clock: Clock,
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._me = me
        self._peers = peers
        self._addresses = addresses
        self._server_tls = server_tls
        self._client_tls = client_tls
        self._is_revoked = is_revoked
        self.clock = clock
        self._on_failure = on_failure
        self._complained: dict[tuple[KmeId | None, str], float] = {}
        self._current: dict[KmeId, PeerConnection] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Listens, and dials the peers whose names are higher."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: PeerConnection(self, None),
            host,
            port,
            ssl=self._server_tls,
            ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,
            backlog=MAX_STRANGERS,
        )
        works = [*(self._dial(peer) for peer in self._addresses if self._me < peer), self._keep_alive()]
        self._tasks = [watched(work, self._on_failure) for work in works]

    async def stop(self) -> None:
        """Closes everything once what was sent is written."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        for connection in list(self._current.values()):
            connection.close()

    def close_revoked(self, is_revoked: Callable[[bytes], bool]) -> int:
        """Ends the connections whose certificates were revoked; returns how many."""
        revoked = [c for c in self._current.values() if is_revoked(c.certificate)]
        for connection in revoked:
            connection.abort()
        return len(revoked)

    def admit(self, connection: PeerConnection, expected: KmeId | None) -> Peer:
        """The peer that a new connection belongs to; it takes the place of an older one. Raises PeerError."""
        if self._is_revoked(connection.certificate):
            raise PeerError("its certificate is revoked")
        if not may_serve(connection.certificate):
            raise PeerError("its certificate is an SAE's: it may not be a server")
        name = common_name(connection.certificate)
        peer = self._peers.get(KmeId(name)) if name else None
        if peer is None or expected not in (None, peer.id):
            wanted = repr(expected) if expected else "a peer of this node"
            raise PeerError(f"its certificate names {name!r}, not {wanted}")
        older = self._current.get(peer.id)
        self._current[peer.id] = connection
        if older is not None:
            peer.replaced()
            older.retire()
        return peer

    def heard(self, peer: KmeId) -> None:
        """The peer has let us in and speaks."""
        self._peers[peer].trouble = None
        _log.info("peer connected", peer=peer)

    def gone(self, connection: PeerConnection, reason: str) -> None:
        """A connection ended."""
        peer = connection.peer
        if peer is not None and self._current.get(peer.id) is connection:
            del self._current[peer.id]
            peer.disconnect()
            self.complain(peer.id, f"{'disconnected' if connection.heard else 'did not let us in'}: {reason}")

    def complain(self, peer: KmeId | None, reason: str) -> None:
        """Logs why there is no connection to a peer: as a warning once a minute, and keeps it for the operator."""
        now = self.clock.monotonic()
        if peer is not None:
            self._peers[peer].trouble = reason
        if now - self._complained.get((peer, reason), -COMPLAIN_S) >= COMPLAIN_S:
            self._complained = {what: at for what, at in self._complained.items() if now - at < COMPLAIN_S}
            self._complained[peer, reason] = now
            _log.warning("no connection to peer", peer=peer, reason=reason)

    async def _dial(self, peer: KmeId) -> None:
        address, loop = self._addresses[peer], asyncio.get_running_loop()
        pause = BACK_OFF_S[0]
        while True:
            try:
                _, connection = await loop.create_connection(
                    lambda: PeerConnection(self, peer),
                    address.host,
                    address.port,
                    ssl=self._client_tls,
                    ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,
                )
            except OSError as error:
                self.complain(peer, f"{address.host}:{address.port}: {error.strerror or error}")
            else:
                await connection.ended.wait()
                if connection.heard:
                    pause = BACK_OFF_S[0]
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, BACK_OFF_S[1])

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            for connection in list(self._current.values()):
                if self.clock.monotonic() - connection.last_heard > SILENCE_S:
                    connection.abort()
                else:
                    connection.send(b"")
