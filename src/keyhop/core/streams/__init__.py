"""The two ends of a key stream. The rules:

 1. A stream runs from its owner to its follower. Only the owner decides what its bytes are used for.
 2. It is made of blocks, appended without holes: `produced` is where the next one goes. A block is first durable at
    the follower; only then does the owner append it, which makes it available.
 3. The owner uses bytes only out of a lease. Leasing moves the bytes from the store into memory (one durable write)
    and raises `taken`; the follower notes the new `taken` durably before the first byte of the lease is used.
    A crash burns what was left of the lease.
 4. The follower gives out bytes below `taken` only, each unit once, erased in the commit that gives it out.
 5. An epoch is one unbroken history of both ends. When the ends disagree on it (a restored backup), the owner
    discards what it has and opens the next epoch; the follower keeps what was taken until it expires, unless it is
    itself the one that forgot.
 6. The first 64 bytes of an epoch key its key IDs and are used for nothing else.
 7. Every byte has one use, and the ledger of each end balances at all times.

Positions and lengths are counted in units of eight bytes. Both ends keep their bytes in memory; the store is there
to survive.

    base        what both ends speak of: StreamRef, Block, Lease, Taken, Admission, Place
    owned       OwnedStream: appends, leases, takes, voids
    followed    FollowedStream: stores, finds, gives out, erases
    holdings    the bytes that a follower holds        follower_state   what else it remembers
    shelf       the chunks of an epoch, found by position
"""

from keyhop.core.chunk import Age
from keyhop.core.streams.base import (
    ID_KEY_UNITS,
    Admission,
    Ages,
    Block,
    Lease,
    Place,
    Role,
    Route,
    StreamRef,
    Taken,
    Uses,
    plain,
)
from keyhop.core.streams.followed import FollowedStream
from keyhop.core.streams.owned import OwnedStream

__all__ = [
    "ID_KEY_UNITS",
    "Admission",
    "Age",
    "Ages",
    "Block",
    "FollowedStream",
    "Lease",
    "OwnedStream",
    "Place",
    "Role",
    "Route",
    "StreamRef",
    "Taken",
    "Uses",
    "plain",
]
