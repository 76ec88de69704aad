"""Do the two ends of a stream remember the same history?

Both ends ask this of the same two sets of marks whenever they connect, and so come to the same verdict. What each
is told only ever grows while both live, so an end that remembers less was restored from a backup. The follower may be
one placement ahead, never more; and a digest of the blocks tells two histories of equal length apart.
"""

from enum import Enum

from keyhop.core.key_id import ID_KEY_BYTES
from keyhop.core.units import UNIT_BYTES
from keyhop.network.wire import FollowerMarks, OwnerMarks

_NOTHING_TAKEN = ID_KEY_BYTES // UNIT_BYTES


class Verdict(Enum):
    """What the ends do: `next_epoch` is opened by the owner after any verdict but AGREE."""

    AGREE = "the follower drops the placement that the owner never heard of, and both go on"
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
    if follower.produced == owner.produced:
        return Verdict.AGREE if follower.history == owner.history else Verdict.FOLLOWER_FORGOT
    confirmed = (follower.confirmed, follower.confirmed_history)
    return Verdict.AGREE if confirmed == (owner.produced, owner.history) else Verdict.OWNER_FORGOT


def next_epoch(owner: OwnerMarks, follower: FollowerMarks) -> int:
    """A number that neither end has used."""
    return max(owner.epoch, follower.epoch) + 1
