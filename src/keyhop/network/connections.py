"""The asyncio shell around peers: one connection a peer (`lines`), reconnected with back-off.

The node with the lower name dials, and once more for each new generation of a peer's key. A peer proves who it is by
certificate, in mutual TLS 1.3, or by a pre-shared key, in TLS with that key alone (`psk`): it is configured which, and
each way has a listener of its own. An empty frame every two seconds tells a live peer from a dead one.
"""

import asyncio
import contextlib
import random
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import structlog

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId
from keyhop.core.watched import watched
from keyhop.network.connection import PeerConnection
from keyhop.network.lines import Lines
from keyhop.network.peer import Peer
from keyhop.network.proof import Certificates, Proof, Prove
from keyhop.network.psk.handshakes import PskAdmission, dialled_with, why_not_let_in
from keyhop.network.strangers import HANDSHAKE_S, TlsListener
from keyhop.pki.psk import PskServerContext

HEARTBEAT_S = 2.0
SILENCE_S = 8.0
COMPLAIN_S = 60.0
BACK_OFF_S = (0.1, 5.0)
OVERDUE_S = 30.0
"""So long a connection goes on at most when there is a newer generation of the peer's key."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Where a peer listens."""

    host: str
    port: int


class Connections:
    """All connections of a node to its peers. `on_failure` is told what has ended the dialling, or the heartbeat."""

    def __init__(
        self,
        me: KmeId,
        peers: Mapping[KmeId, Peer],
        addresses: Mapping[KmeId, PeerAddress],
        certificates: Certificates,
        clock: Clock,
        entropy: Entropy,
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._me = me
        self._peers = peers
        self._addresses = addresses
        self._certificates = certificates
        self._psks = PskAdmission([peer.psk for peer in peers.values() if peer.psk], self._not_admitted)
        self.clock = clock
        self._on_failure = on_failure
        self._complained: dict[tuple[KmeId | None, str], float] = {}
        self._lines = {name: Lines[PeerConnection](peer, entropy) for name, peer in peers.items()}
        self._over_since: dict[PeerConnection, float] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._doors: list[TlsListener] = []

    def listen(self, listener: socket.socket) -> None:
        """For peers with certificates."""
        self._listen(listener, self._certificates.server_tls, self._certificates.prove)

    def listen_for_psks(self, listener: socket.socket) -> None:
        """For peers with pre-shared keys."""
        self._listen(listener, PskServerContext(self._psks.find), self._psks.prove)

    def start(self) -> None:
        """Dials the peers whose names are higher."""
        works = [*(self._dial(peer) for peer in self._addresses if self._me < peer), self._keep_alive()]
        self._tasks = [watched(work, self._on_failure) for work in works]

    async def stop(self) -> None:
        """Closes everything once what was sent is written."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for door in self._doors:
            door.stop()
        for connection in self._open():
            connection.close()

    def close_revoked(self, is_revoked: Callable[[bytes], bool]) -> int:
        """Ends the connections whose certificates were revoked; returns how many."""
        shown = [(c, c.proof.certificate) for c in self._open() if c.proof and c.proof.certificate]
        revoked = [connection for connection, certificate in shown if is_revoked(certificate)]
        for connection in revoked:
            connection.abort()
        return len(revoked)

    def admit(self, connection: PeerConnection, proof: Proof) -> Lines[PeerConnection]:
        """Those of the peer that a new connection belongs to. Raises PeerError."""
        peer, expected = self._peers.get(proof.name), connection.expected
        if peer is None or expected not in (None, peer.id):
            wanted = repr(expected) if expected else "a peer of this node"
            raise PeerError(f"its certificate names {proof.name!r}, not {wanted}")
        if (peer.psk is None) != (proof.generation is None):
            raise PeerError(f"{peer.id} has a pre-shared key, and no certificate stands for it")
        if peer.psk is not None and proof.generation is not None:
            peer.psk.used(proof.generation)
        return self._lines[peer.id]

    def refused(self, expected: KmeId | None, reason: str) -> None:
        """Somebody was not let in."""
        self._complain(expected, f"refused: {reason}")

    def heard(self, connection: PeerConnection) -> None:
        """The peer has let us in and speaks."""
        if connection.lines is not None:
            connection.lines.peer.trouble = None
            _log.info("peer connected", peer=connection.lines.peer.id, psk_generation=connection.generation)

    def gone(self, connection: PeerConnection, reason: str) -> None:
        """A connection ended."""
        self._over_since.pop(connection, None)
        if connection.lines is not None and connection.lines.lost(connection):
            told = f"{'disconnected' if connection.heard else 'did not let us in'}: {reason}"
            self._complain(connection.lines.peer.id, told)

    def _not_admitted(self, peer: KmeId, reason: str) -> None:
        """Somebody who uses a peer's name did not get in with a pre-shared key."""
        self._complain(peer, f"refused: {reason}")

    def _complain(self, peer: KmeId | None, reason: str) -> None:
        """Logs why there is no connection to a peer: as a warning once a minute, and keeps it for the operator."""
        now = self.clock.monotonic()
        if peer is not None and not self._lines[peer].open:
            self._peers[peer].trouble = reason
        if now - self._complained.get((peer, reason), -COMPLAIN_S) >= COMPLAIN_S:
            self._complained = {what: at for what, at in self._complained.items() if now - at < COMPLAIN_S}
            self._complained[peer, reason] = now
            _log.warning("no connection to peer", peer=peer, reason=reason)

    def _listen(self, listener: socket.socket, tls: ssl.SSLContext, prove: Prove) -> None:
        door = TlsListener(listener, tls, partial(PeerConnection, self, prove))
        self._doors.append(door)
        door.start()

    def _open(self) -> list[PeerConnection]:
        return [connection for lines in self._lines.values() for connection in lines.open]

    async def _dial(self, peer: KmeId) -> None:
        pause = BACK_OFF_S[0]
        while True:
            connection = await self._reach(peer)
            if connection is not None and (await self._stay(peer, connection)).heard:
                pause = BACK_OFF_S[0]
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, BACK_OFF_S[1])

    async def _reach(self, peer: KmeId) -> PeerConnection | None:
        address, psk = self._addresses[peer], self._peers[peer].psk
        tls, prove = dialled_with(psk) if psk else (self._certificates.client_tls, self._certificates.prove)
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                partial(PeerConnection, self, prove, peer),
                address.host,
                address.port,
                ssl=tls,
                ssl_handshake_timeout=HANDSHAKE_S,
            )
        except OSError as error:
            reason = (why_not_let_in(error, psk) if psk else None) or error.strerror or error
            self._complain(peer, f"{address.host}:{address.port}: {reason}")
            return None
        return connection

    async def _stay(self, peer: KmeId, connection: PeerConnection) -> PeerConnection:
        """Until the end of a connection, and of those that take over from it; returns the last of them."""
        while not connection.ended.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await connection.ended.wait()
            lines = self._lines[peer]
            if lines.heard is connection and lines.next is None and lines.is_over:
                connection = await self._reach(peer) or connection
        return connection

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            now = self.clock.monotonic()
            for lines in self._lines.values():
                for connection in lines.open:
                    if now - connection.last_heard > SILENCE_S:
                        connection.abort()
                if lines.spoken is not None:
                    lines.spoken.send(b"")
                if lines.heard is not None and lines.is_over and self._is_overdue(lines.heard, now):
                    self._complain(lines.peer.id, "no handshake with the next generation of its PSK")
                    lines.heard.abort()

    def _is_overdue(self, connection: PeerConnection, now: float) -> bool:
        """Whether a generation that is over has been in use for too long: whoever holds up handshakes shall not keep it
        alive."""
        return now - self._over_since.setdefault(connection, now) > OVERDUE_S
