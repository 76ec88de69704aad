"""Why two SAEs may or may not have a key: what is asked, and the answer step by step."""

from dataclasses import dataclass, field
from typing import Literal

from keyhop.core.ids import KmeId, SaeId

Verdict = Literal["yes", "no", "note"]


@dataclass(frozen=True, slots=True)
class PolicyQuestion:
    """May this master have `number` keys of `size_bits` to share with this slave? None: as the policy has it.

    With `additional_slaves`: the same keys for all of them.
    """

    master: SaeId
    slave: SaeId
    size_bits: int | None = None
    number: int | None = None
    additional_slaves: tuple[SaeId, ...] = ()

    @property
    def slaves(self) -> tuple[SaeId, ...]:
        """All of them."""
        return (self.slave, *self.additional_slaves)


@dataclass(frozen=True, slots=True)
class PolicyStep:
    """One thing that was looked at; a single `no` is enough to refuse.

    `slave` is the one of several that it is about; None: the request.
    """

    about: str
    verdict: Verdict
    text: str
    slave: SaeId | None = None


@dataclass(frozen=True, slots=True)
class PolicyField:
    """One thing that holds for the pair, and which part of node.toml gives it; `given_by` is as it stands there.

    `slave` is that of the pair, of several; None: there is one.
    """

    name: str
    value: str
    given_by: str
    slave: SaeId | None = None


@dataclass(frozen=True, slots=True)
class PolicyCheck:
    """The answer of KME `kme`; `live` when it runs, and not only its configuration was read.

    `beside` says what the master may do besides having a key made: bring its own, and void some. It is no part of
    `possible`.
    """

    kme: KmeId
    master: SaeId
    slave: SaeId
    live: bool
    possible: bool
    steps: list[PolicyStep]
    fields: list[PolicyField]
    beside: list[PolicyStep] = field(default_factory=list)
    additional_slaves: list[SaeId] = field(default_factory=list)
