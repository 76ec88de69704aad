"""What the two ends of a stream say to each other to agree on a secret."""

from typing import Annotated

from msgspec import Meta

from keyhop.network.wire_types import Id, Message, Number

PUBLIC_KEY_BYTES = 1184
SEALED_BYTES = 1088


class OfHybrid(Message, frozen=True):
    """What all of these messages are."""


class HybridAsked(OfHybrid, frozen=True):
    """The owner wants a key to encapsulate to."""


class HybridOffered(OfHybrid, frozen=True):
    """The follower's fresh ML-KEM-768 key."""

    key: Annotated[bytes, Meta(min_length=PUBLIC_KEY_BYTES, max_length=PUBLIC_KEY_BYTES)]


class HybridSealed(OfHybrid, frozen=True):
    """The owner's secret for an epoch, with this check, encapsulated to that key."""

    epoch: Number
    sealed: Annotated[bytes, Meta(min_length=SEALED_BYTES, max_length=SEALED_BYTES)]
    check: Id


class HybridNamed(OfHybrid, frozen=True):
    """Does the follower hold the owner's secret of that epoch, with this check? It says `HybridStored`."""

    epoch: Number
    check: Id


class HybridStored(OfHybrid, frozen=True):
    """The follower holds the secret with this check durably; none that was asked for, with a check of zeros."""

    epoch: Number
    check: Id


type HybridMessage = HybridAsked | HybridOffered | HybridSealed | HybridNamed | HybridStored
