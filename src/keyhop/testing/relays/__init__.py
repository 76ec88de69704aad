"""Relays of many KMEs over real streams and leases, on virtual time.

    network     VirtualRelays: nodes, what is between them, and what it does to messages
    node        RelayNode: one KME's relay and direct streams, on a disk that outlives it
    pad_watch   PadWatch: that no byte is a pad twice, and that what is sent is made of what it should be
    lending     Site: a relay whose streams lend their bytes
    tampering   Tampering: messages of real parcels with bits altered, against real relays

There are no sessions here, so a message may also come after its sender or receiver was started anew: worse than in
production, where it would be dropped.
"""

from keyhop.testing.relays.network import VirtualRelays
from keyhop.testing.relays.node import sae_of

__all__ = ["VirtualRelays", "sae_of"]
