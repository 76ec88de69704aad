"""What a connection shows, and whose key it is that it shows."""

import ssl
from collections.abc import Callable, Iterable

from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.network.proof import Proof, Prove
from keyhop.network.psk.generations import PskGenerations
from keyhop.pki.psk import psk_client_context, shown_identity

type Complain = Callable[[KmeId, str], None]
"""Is told why a peer, or somebody who uses its name, is not let in: in one of few texts for each peer."""


def dialled_with(psk: PskGenerations) -> tuple[ssl.SSLContext, Prove]:
    """What a connection to this peer shows, and what it then has proved."""
    generation = psk.current
    proof = Proof(psk.peer, generation=generation)
    return psk_client_context(psk.identity(generation), psk.secret(generation)), lambda _connection: proof


def why_not_let_in(failure: OSError, psk: PskGenerations) -> str | None:
    """What the peer has against the key that was shown, for people; None for other failures."""
    if "unknown psk identity" in str(failure):  # an alert that Python has no name for
        return f"it does not have the generation of the PSK that this node has ({psk.here()})"
    return None


class PskAdmission:
    """The peers that may come with a key."""

    def __init__(self, peers: Iterable[PskGenerations], complain: Complain) -> None:
        self._peers = tuple(peers)
        self._complain = complain

    def find(self, identity: str) -> KeyMaterial | None:
        """The key that goes with an identity, within the handshake; None for one of nobody."""
        found = self._found(identity)
        return found and found[0].secret(found[1])

    def prove(self, connection: ssl.SSLObject) -> Proof:
        """By the identity whose key the other end has, as the handshake has shown. Raises PeerError."""
        found = self._found(shown_identity(connection))
        if found is None:
            raise PeerError("its generation of the PSK was forgotten within the handshake")
        return Proof(found[0].peer, generation=found[1])

    def _found(self, identity: str) -> tuple[PskGenerations, int] | None:
        for generations in self._peers:
            try:
                generation = generations.shown(identity)
            except PeerError as error:
                self._complain(generations.peer, error.message)
                return None
            if generation is not None:
                return generations, generation
        return None
