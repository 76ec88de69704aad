"""Each verdict with its reason."""

from typing import Any

import pytest

from keyhop.network.marks import Verdict, compare, next_epoch
from keyhop.network.wire import FollowerMarks, OwnerMarks

AGREE, OWNER, FOLLOWER = Verdict.AGREE, Verdict.OWNER_FORGOT, Verdict.FOLLOWER_FORGOT

A, B = b"history a", b"history b"

# owner: epoch, produced, taken, mark seen, history
# follower: epoch, produced, taken, mark, history, confirmed, history of what is confirmed
CASES = [
    ("both are new", (1, 0, 0, 0), (0, 0, 0, 0), AGREE),
    ("both hold the same", (1, 100, 50, 3, A), (1, 100, 50, 3, A, 80, B), AGREE),
    ("the owner crashed before it heard that the first block is held", (1, 0, 0, 0), (1, 100, 8, 0, A), AGREE),
    ("... of a block", (1, 100, 50, 3, A), (1, 200, 50, 3, B, 100, A), AGREE),
    ("the owner forgot more than one placement", (1, 100, 50, 3, A), (1, 300, 50, 3, B, 200, B), OWNER),
    ("the owner forgot all placements", (1, 0, 0, 0), (1, 300, 8, 0, B, 200, B), OWNER),
    ("the owner is of another history, and shorter", (1, 100, 50, 3, B), (1, 200, 50, 3, B, 100, A), OWNER),
    ("equally long, but not the same", (1, 100, 50, 3, A), (1, 100, 50, 3, B), FOLLOWER),
    ("a lease was not told yet", (1, 100, 80, 3), (1, 100, 50, 3), AGREE),
    ("a window was not told yet", (1, 100, 50, 3), (1, 100, 50, 4), AGREE),
    ("the owner opened an epoch that holds nothing yet", (2, 0, 0, 3), (1, 100, 50, 3), AGREE),
    ("the follower forgot, and the owner has opened the next epoch since", (2, 0, 0, 3), (0, 0, 0, 3), AGREE),
    ("everything was taken", (1, 100, 100, 3), (1, 100, 100, 3), AGREE),
    ("the owner lost its disk", (1, 0, 0, 0), (1, 100, 50, 3), OWNER),
    ("the owner lost its disk in a later epoch", (1, 0, 0, 0), (4, 100, 8, 3), OWNER),
    ("the owner forgot a lease that the follower noted", (1, 100, 50, 3), (1, 100, 80, 3), OWNER),
    ("the owner forgot a lease of the first bytes", (1, 0, 0, 0), (1, 100, 9, 0), OWNER),
    ("the owner forgot an epoch", (1, 100, 50, 3), (2, 100, 8, 3), OWNER),
    ("the follower lost its disk", (1, 100, 50, 0), (0, 0, 0, 0), FOLLOWER),
    ("the follower lost its disk after its windows were noted", (1, 0, 0, 3), (0, 0, 0, 0), FOLLOWER),
    ("the follower forgot a block", (1, 200, 50, 3), (1, 100, 50, 3), FOLLOWER),
    ("the follower forgot an epoch that holds bytes", (2, 100, 8, 3), (1, 100, 50, 3), FOLLOWER),
    ("the follower forgot a window: it may have delivered in it", (1, 100, 50, 4), (1, 100, 50, 3), FOLLOWER),
    ("... also when the owner's new epoch is empty", (2, 0, 0, 4), (1, 100, 50, 3), FOLLOWER),
    ("both forgot: what the follower delivered counts more", (1, 100, 50, 4), (2, 100, 80, 3), FOLLOWER),
]


@pytest.mark.parametrize(("reason", "owner", "follower", "verdict"), CASES, ids=[case[0] for case in CASES])
def test_verdict(
    reason: str,
    owner: tuple[Any, ...],
    follower: tuple[Any, ...],
    verdict: Verdict,
) -> None:
    owner_marks, follower_marks = OwnerMarks(*owner), FollowerMarks(*follower)
    assert compare(owner_marks, follower_marks) is verdict, reason
    assert next_epoch(owner_marks, follower_marks) > max(owner[0], follower[0])
