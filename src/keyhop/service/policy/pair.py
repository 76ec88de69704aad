"""What holds for one master and one slave."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from keyhop.core.errors import BadRequest
from keyhop.core.priority import USUAL_PRIORITY
from keyhop.core.streams import Admission
from keyhop.network.feeder.planning import Terms
from keyhop.network.relay.messages import Strategy
from keyhop.service.requests import RECORD_SOURCE, GetKey

WhenDry = Literal["wait", "refuse", "expand"]
Hybrid = Literal["none", "xor", "kdf"]


@dataclass(frozen=True)
class PairPolicy:
    """Sizes of keys are in bits. `priority` is from 0 to 7, and 7 comes first.

    `wait_s` is how long a request waits when a stream is dry; 0 where it is refused. `key_lifetime_s` is None when the
    pair has none of its own, `sources` when any will do: they are kinds of links, or what else makes bytes. `relay` is
    None when keys are relayed as usual; `relay_threshold` of `min_disjoint_paths` shares give a secret-shared key,
    None: all of them are needed. `abroad_wait_s` is how long a key may take into another domain.
    """

    default_size_bits: int = 256
    min_size_bits: int = 64
    max_size_bits: int = 8192
    max_keys_per_request: int = 1024
    key_lifetime_s: float | None = None
    priority: int = USUAL_PRIORITY
    direct_only: bool = False
    min_disjoint_paths: int = 1
    relay: Strategy | None = None
    relay_threshold: int | None = None
    sources: frozenset[str] | None = None
    hybrid: Hybrid = "none"
    when_dry: WhenDry = "wait"
    wait_s: float = 2.0
    abroad_wait_s: float = 10.0

    @cached_property
    def admission(self) -> Admission | None:
        """Which bytes a key of this pair may be made of; None: any."""
        least_paths = self.relaying.needed if self.relaying else 1
        if self.sources is None and self.key_lifetime_s is None and least_paths == 1:
            return None
        return Admission(self.sources, least_paths, self.key_lifetime_s)

    @cached_property
    def expands(self) -> bool:
        """Whether keys may go under pads that a KDF makes, while there are no others."""
        may_be_made_here = self.sources is None or RECORD_SOURCE in self.sources
        return self.when_dry == "expand" and self.hybrid == "none" and may_be_made_here

    @cached_property
    def relaying(self) -> Terms | None:
        """How keys that are relayed for this pair alone travel; None: as usual."""
        if self.relay is None:
            return None
        paths = self.min_disjoint_paths
        return Terms(self.relay, paths, paths, self.relay_threshold or 0, self.priority)

    def as_asked(self, request: GetKey) -> "PairPolicy":
        """What holds for a request, which may insist on more: on keys of a link, or on young ones."""
        must_be_direct = request.route_strict and request.route == "direct"
        max_age_s = request.max_age_s if request.max_age_strict else None
        if not must_be_direct and max_age_s is None:
            return self
        lifetime_s = min((s for s in (self.key_lifetime_s, max_age_s) if s is not None), default=None)
        return replace(self, direct_only=self.direct_only or must_be_direct, key_lifetime_s=lifetime_s)

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
