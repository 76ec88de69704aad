"""The asyncio shell around peers: one connection a peer, reconnected with back-off.

The node with the lower name dials. A peer proves who it is by certificate, in mutual TLS 1.3, or by a pre-shared key,
in TLS with that key alone (`psk`): it is configured which, and each way has a listener of its own. An empty frame every
two seconds tells a live peer from a dead one.
"""

import asyncio
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import structlog

from keyhop.core.clock import Clock
from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId
from keyhop.core.watched import watched
from keyhop.network.connection import PeerConnection
from keyhop.network.peer import Peer
from keyhop.network.proof import Certificates, Proof, Prove
from keyhop.network.psk.handshakes import PskAdmission, dialled_with, why_not_let_in
from keyhop.pki.psk import PskServerContext

HANDSHAKE_TIMEOUT_S = 5.0
HEARTBEAT_S = 2.0
SILENCE_S = 8.0
MAX_STRANGERS = 64
COMPLAIN_S = 60.0
BACK_OFF_S = (0.1, 5.0)

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
        self._current: dict[KmeId, PeerConnection] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._servers: list[asyncio.Server] = []

    async def listen(self, host: str, port: int) -> None:
        """For peers with certificates. Raises OSError."""
        await self._listen(host, port, self._certificates.server_tls, self._certificates.prove)

    async def listen_for_psks(self, host: str, port: int) -> None:
        """For peers with pre-shared keys. Raises OSError."""
        await self._listen(host, port, PskServerContext(self._psks.find), self._psks.prove)

    def start(self) -> None:
        """Dials the peers whose names are higher."""
        works = [*(self._dial(peer) for peer in self._addresses if self._me < peer), self._keep_alive()]
        self._tasks = [watched(work, self._on_failure) for work in works]

    async def stop(self) -> None:
        """Closes everything once what was sent is written."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for server in self._servers:
            server.close()
        for connection in list(self._current.values()):
            connection.close()

    def close_revoked(self, is_revoked: Callable[[bytes], bool]) -> int:
        """Ends the connections whose certificates were revoked; returns how many."""
        shown = [(c, c.proof.certificate) for c in self._current.values() if c.proof and c.proof.certificate]
        revoked = [connection for connection, certificate in shown if is_revoked(certificate)]
        for connection in revoked:
            connection.abort()
        return len(revoked)

    def admit(self, connection: PeerConnection, proof: Proof) -> Peer:
        """The peer that a new connection belongs to; it takes the place of an older one. Raises PeerError."""
        peer, expected = self._peers.get(proof.name), connection.expected
        if peer is None or expected not in (None, peer.id):
            wanted = repr(expected) if expected else "a peer of this node"
            raise PeerError(f"its certificate names {proof.name!r}, not {wanted}")
        if (peer.psk is None) != (proof.generation is None):
            raise PeerError(f"{peer.id} has a pre-shared key, and no certificate stands for it")
        if peer.psk is not None and proof.generation is not None:
            peer.psk.used(proof.generation)
        older = self._current.get(peer.id)
        self._current[peer.id] = connection
        if older is not None:
            peer.replaced()
            older.retire()
        return peer

    def refused(self, expected: KmeId | None, reason: str) -> None:
        """Somebody was not let in."""
        self._complain(expected, f"refused: {reason}")

    def heard(self, connection: PeerConnection) -> None:
        """The peer has let us in and speaks."""
        if connection.peer is not None and connection.proof is not None:
            connection.peer.trouble = None
            _log.info("peer connected", peer=connection.peer.id, psk_generation=connection.proof.generation)

    def gone(self, connection: PeerConnection, reason: str) -> None:
        """A connection ended."""
        peer = connection.peer
        if peer is None or self._current.get(peer.id) is not connection:
            return
        del self._current[peer.id]
        peer.disconnect()
        if _is_over(connection):
            _log.info("the connection to a peer moves to the next generation of its PSK", peer=peer.id)
        else:
            self._complain(peer.id, f"{'disconnected' if connection.heard else 'did not let us in'}: {reason}")

    def _not_admitted(self, peer: KmeId, reason: str) -> None:
        """Somebody who uses a peer's name did not get in with a pre-shared key."""
        self._complain(peer, f"refused: {reason}")

    def _complain(self, peer: KmeId | None, reason: str) -> None:
        """Logs why there is no connection to a peer: as a warning once a minute, and keeps it for the operator."""
        now = self.clock.monotonic()
        if peer is not None and peer not in self._current:
            self._peers[peer].trouble = reason
        if now - self._complained.get((peer, reason), -COMPLAIN_S) >= COMPLAIN_S:
            self._complained = {what: at for what, at in self._complained.items() if now - at < COMPLAIN_S}
            self._complained[peer, reason] = now
            _log.warning("no connection to peer", peer=peer, reason=reason)

    async def _listen(self, host: str, port: int, tls: ssl.SSLContext, prove: Prove) -> None:
        server = await asyncio.get_running_loop().create_server(
            partial(PeerConnection, self, prove),
            host,
            port,
            ssl=tls,
            ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,
            backlog=MAX_STRANGERS,
        )
        self._servers.append(server)

    async def _dial(self, peer: KmeId) -> None:
        address, loop = self._addresses[peer], asyncio.get_running_loop()
        psk = self._peers[peer].psk
        pause = BACK_OFF_S[0]
        while True:
            tls, prove = dialled_with(psk) if psk else (self._certificates.client_tls, self._certificates.prove)
            try:
                _, connection = await loop.create_connection(
                    partial(PeerConnection, self, prove, peer),
                    address.host,
                    address.port,
                    ssl=tls,
                    ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,
                )
            except OSError as error:
                reason = (why_not_let_in(error, psk) if psk else None) or error.strerror or error
                self._complain(peer, f"{address.host}:{address.port}: {reason}")
            else:
                await connection.ended.wait()
                if _is_over(connection):
                    continue
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
                elif connection.expected and _is_over(connection):
                    connection.close()  # and `_dial` comes again with the next generation
                else:
                    connection.send(b"")


def _is_over(connection: PeerConnection) -> bool:
    """Whether both ends have a newer generation of their key than the connection's."""
    generation = connection.proof.generation if connection.proof else None
    psk = connection.peer.psk if connection.peer else None
    return generation is not None and psk is not None and psk.current > generation
