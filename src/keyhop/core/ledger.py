"""Where every byte of a stream went. Each byte has one use, and the books must balance:

produced = available + leased + delivered + pad + mac + psk + seed + id_key + voided + expired + burnt
"""

from typing import Literal

import msgspec

Purpose = Literal["delivered", "pad", "mac", "psk", "seed", "id_key", "voided", "expired"]


class Ledger(msgspec.Struct):
    """Bytes by account, over the life of one end of a stream. `available` is not kept: it is counted in the chunks.

    `burnt` was leased when the owner crashed: whether it was used is not known, so it is not used.
    """

    produced: int = 0
    leased: int = 0
    delivered: int = 0
    pad: int = 0
    mac: int = 0
    psk: int = 0
    seed: int = 0
    id_key: int = 0
    voided: int = 0
    expired: int = 0
    burnt: int = 0

    def spend(self, purpose: Purpose, size_bytes: int) -> None:
        """Books bytes that have left the stream."""
        setattr(self, purpose, getattr(self, purpose) + size_bytes)

    def rebook(self, source: Purpose, target: Purpose, size_bytes: int) -> None:
        """Moves bytes between accounts: a run taken in one piece served two purposes."""
        self.spend(source, -size_bytes)
        self.spend(target, size_bytes)

    def balances(self, available: int) -> bool:
        """Whether every byte ever produced is accounted for."""
        used = self.delivered + self.pad + self.mac + self.psk + self.seed + self.id_key
        return self.produced == available + self.leased + used + self.voided + self.expired + self.burnt
