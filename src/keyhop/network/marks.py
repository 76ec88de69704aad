"""Do the two ends of a stream remember the same history?

Both ends ask this of the same two sets of marks whenever they connect, and so come to the same verdict. What each
is told only ever grows while both live, so an end that remembers less was restored from a backup.
"""

from enum import Enum

from keyhop.core.key_id import ID_KEY_BYTES
from keyhop.core.units import UNIT_BYTES
from keyhop.network.wire import FollowerMarks, OwnerMarks

_NOTHING_TAKEN = ID_KEY_BYTES // UNIT_BYTES


class Verdict(Enum):
    """What the ends do: `next_epoch` is opened by the owner after any verdict but AGREE."""

    AGREE = "the follower drops what the owner never made available, and both go on"
    OWNER_FORGOT = "the owner discards its copy; the follower keeps what was taken"
    FOLLOWER_FORGOT = "the owner discards its copy; the follower gives out nothing of it again"


def compare(owner: OwnerMarks, follower: FollowerMarks) -> Verdict:
    """The verdict on one stream."""
    if follower.mark < owner.mark_seen:
        return Verdict.FOLLOWER_FORGOT
    if follower.epoch > owner.epoch:
        return Verdict.OWNER_FORGOT
    if follower.epoch < owner.epoch:
        return Verdict.FOLLOWER_FORGOT if owner.produced else Verdict.AGREE
    if follower.taken > max(owner.taken, _NOTHING_TAKEN):
        return Verdict.OWNER_FORGOT
    if follower.produced < owner.produced:
        return Verdict.FOLLOWER_FORGOT
    return Verdict.AGREE


def next_epoch(owner: OwnerMarks, follower: FollowerMarks) -> int:
    """A number that neither end has used."""
    return max(owner.epoch, follower.epoch) + 1
