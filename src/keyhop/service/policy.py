"""What SAEs may have: sizes, numbers, waiting, and who may talk to whom."""

from collections.abc import Mapping
from dataclasses import dataclass

from keyhop.core.errors import BadRequest, Unauthorised
from keyhop.core.ids import KmeId, SaeId, SaePair

ANYONE = "*"


@dataclass(frozen=True, slots=True)
class Allow:
    """Keys may be shared by this master with this slave; `*` stands for anyone."""

    master: str = ANYONE
    slave: str = ANYONE

    def covers(self, master: SaeId, slave: SaeId) -> bool:
        """Whether the rule speaks of this pair."""
        return self.master in (ANYONE, master) and self.slave in (ANYONE, slave)


@dataclass(frozen=True, slots=True)
class Policy:
    """The static policy of one KME. Sizes of keys in bits; no `allow` rule at all means that everyone may."""

    default_size_bits: int = 256
    min_size_bits: int = 64
    max_size_bits: int = 8192
    max_keys_per_request: int = 1024
    max_additional_slaves: int = 16
    wait_s: float = 2.0
    redelivery_s: float = 0.0
    redelivery_bytes: int = 16 << 20
    allow: tuple[Allow, ...] = ()

    def check_pair(self, master: SaeId, slave: SaeId) -> None:
        """Raises BadRequest for a SAE with itself, Unauthorised for a pair that may not share keys."""
        if master == slave:
            raise BadRequest("master and slave SAE shall be different")
        if self.allow and not any(rule.covers(master, slave) for rule in self.allow):
            raise Unauthorised("these SAEs may not share keys")

    def size_bytes(self, size_bits: int | None) -> int:
        """The size to deliver, or BadRequest."""
        if size_bits is None:
            return self.default_size_bits // 8
        if size_bits % 8:
            raise BadRequest("size shall be a multiple of 8")
        if not self.min_size_bits <= size_bits <= self.max_size_bits:
            raise BadRequest(f"size shall be between {self.min_size_bits} and {self.max_size_bits}")
        return size_bits // 8

    def number(self, number: int | None) -> int:
        """How many keys to deliver, or BadRequest."""
        if number is None:
            return 1
        if not 1 <= number <= self.max_keys_per_request:
            raise BadRequest(f"number shall be between 1 and {self.max_keys_per_request}")
        return number


@dataclass(frozen=True, slots=True)
class SaePairs:
    """The pairs of a master and a slave, each of some SAEs, that may share keys."""

    policy: Policy
    masters: frozenset[SaeId]
    slaves: frozenset[SaeId]

    def __len__(self) -> int:
        return sum(len(self._slaves_of(master)) for master in self.masters)

    def __contains__(self, pair: SaePair) -> bool:
        master, slave = pair
        return master in self.masters and slave in self._slaves_of(master)

    def _slaves_of(self, master: SaeId) -> frozenset[SaeId]:
        named = {rule.slave for rule in self.policy.allow if rule.master in (ANYONE, master)}
        return self.slaves if ANYONE in named or not self.policy.allow else self.slaves & named


def sae_pairs(policy: Policy, homes: Mapping[SaeId, KmeId], me: KmeId) -> dict[KmeId, SaePairs]:
    """The pairs of a master at `me` and a slave there that may share keys, for each other KME."""
    saes: dict[KmeId, set[SaeId]] = {}
    for sae, home in homes.items():
        saes.setdefault(home, set()).add(sae)
    masters = frozenset(saes.pop(me, ()))
    return {kme: SaePairs(policy, masters, frozenset(slaves)) for kme, slaves in saes.items()}
