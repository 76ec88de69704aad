"""Information reconciliation: the receiver's bits become the transmitter's, and what that told Eve is counted.

    cascade    interactive, over many frames at once: the most efficient, for links with short round trips
    ldpc       one message: for links with long round trips

The other files are parts of the one whose name they begin with; `*_kernels` are compiled.

Both are state machines without I/O behind `Reconciliation`. What enters: a round's sifted bits, the other side's
messages. What leaves: messages, the corrected bits, the number of bits disclosed.
"""

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

type Bits = NDArray[np.uint8]
type Side = Literal["reference", "correcting"]
"""The transmitter's bits are the reference; the receiver corrects his."""


class Reconciliation(Protocol):
    """One side of the reconciliation of one round. Messages go to and fro until both sides are done."""

    def start(self) -> list[bytes]:
        """The messages to send first; may be none."""
        ...

    def received(self, message: bytes) -> list[bytes]:
        """Takes a message of the other side and gives the answers. Raises PeerError for one that is malformed."""
        ...

    @property
    def done(self) -> bool:
        """Whether nothing is left to send or to receive."""
        ...

    @property
    def bits(self) -> Bits:
        """The bits as this side has them now: with few exceptions the same at both sides once they are done."""
        ...

    @property
    def disclosed_bits(self) -> int:
        """Bits about the reference that went over the line, as the secret key must be shortened by (lambda_EC)."""
        ...

    @property
    def frames(self) -> tuple[int, ...]:
        """Sizes in bits of the frames that were reconciled each by itself, in order; they add up to the round."""
        ...

    @property
    def wrong_frames(self) -> tuple[int, ...]:
        """Frames that this side knows it could not correct (one-way codes tell; Cascade's only verification finds)."""
        ...
