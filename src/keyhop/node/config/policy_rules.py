"""`[[policy.classes]]` and `[[policy.rules]]` of node.toml: what holds for some pairs of SAEs, and no others."""

from dataclasses import dataclass, fields
from typing import Annotated, get_args

from msgspec import Meta

from keyhop.core.priority import MAX_PRIORITY
from keyhop.network.relay.messages import Strategy
from keyhop.network.relay.parcels import source_kind
from keyhop.service.policy import Hybrid, PairPolicy, Rule, SaeClass, WhenDry

_Size = Annotated[int, Meta(ge=8, le=8192, multiple_of=8)]
_Name = Annotated[str, Meta(min_length=1, max_length=64)]

PAIR_FIELDS = tuple(field.name for field in fields(PairPolicy))
SIZES = ("default_size_bits", "min_size_bits", "max_size_bits")
RELAY = ("relay", "min_disjoint_paths", "relay_threshold")
DRY = ("when_dry", "wait_s")
RELAYED = "relay"
"""The source of relayed bytes, by whatever strategy they came."""
KINDS_OF_RELAYED = frozenset(source_kind(strategy) for strategy in get_args(Strategy))
"""What the service knows such bytes by."""
TOGETHER = (SIZES, RELAY, DRY)
"""Fields that say one thing together: a rule that gives one of them gives all, so that two rules never mix in it."""


@dataclass(frozen=True, slots=True)
class ClassEntry:
    """Several SAEs under one name, which `[[policy.allow]]` and `[[policy.rules]]` may use in place of an SAE's ID."""

    name: Annotated[str, Meta(min_length=1, max_length=64, description="The name; no SAE has it as its ID.")]
    saes: Annotated[
        tuple[_Name, ...],
        Meta(
            min_length=1, max_length=65_536, description="Their IDs; in one with a `*`, that stands for any characters."
        ),
    ]

    def sae_class(self) -> SaeClass:
        """As the service knows it."""
        return SaeClass(self.name, self.saes)


@dataclass(frozen=True, slots=True)
class RuleEntry:
    """What holds for keys of this master and this slave. What is not given is left to other rules and `[policy]`.

    Of several rules that give the same thing the more specific one counts: the master's side is compared first, then
    the slave's; an ID beats a class, a class beats `*`. Of equals the later one counts. Three groups go together, as
    one thing: the sizes; `relay`, `min_disjoint_paths` and `relay_threshold`; `when_dry` and `wait_s`. What is not
    given of a group is as `[policy]` has it, or as below. Both KMEs go by their own file. `keyhop policy check` tells
    what it comes to.
    """

    master: Annotated[str, Meta(description="An SAE's ID, a class of SAEs, or `*` for any.")] = "*"
    slave: Annotated[str, Meta(description="The same.")] = "*"
    default_size_bits: Annotated[_Size | None, Meta(description="Size of a key when the SAE names none.")] = None
    min_size_bits: Annotated[_Size | None, Meta(description="Smallest key.")] = None
    max_size_bits: Annotated[_Size | None, Meta(description="Largest key.")] = None
    max_keys_per_request: Annotated[
        Annotated[int, Meta(ge=1, le=65_536)] | None, Meta(description="Keys in one request.")
    ] = None
    key_lifetime_s: Annotated[
        Annotated[float, Meta(gt=0, le=31_536_000)] | None,
        Meta(
            description="No bytes older than this are handed to the master, and none older than twice this to the "
            "slave. `[policy] key_lifetime_s` at most, when all bytes are erased."
        ),
    ] = None
    priority: Annotated[
        Annotated[int, Meta(ge=0, le=MAX_PRIORITY)] | None,
        Meta(description="Who is served first where key is scarce; 7 comes first. Without any rule: 4."),
    ] = None
    direct_only: Annotated[
        bool | None, Meta(description="Only keys of a link between the two KMEs, none that crossed another node.")
    ] = None
    relay: Annotated[
        Strategy | None,
        Meta(
            description="How keys cross other nodes: each sees them (`hop-by-hop`); the last KME alone adds up what "
            "each sends (`xor-at-destination`); in shares over several paths without a common node, so that no single "
            "node can tell the key (`secret-shared`). Default: as `[relay]` has it."
        ),
    ] = None
    min_disjoint_paths: Annotated[
        Annotated[int, Meta(ge=1, le=16)] | None,
        Meta(description="With `secret-shared`: over how many paths without a common node, at least. Default: 1."),
    ] = None
    relay_threshold: Annotated[
        Annotated[int, Meta(ge=2, le=16)] | None,
        Meta(description="With `secret-shared`: how many of the shares give the key. Default: all are needed."),
    ] = None
    sources: Annotated[
        Annotated[tuple[_Name, ...], Meta(min_length=1, max_length=16)] | None,
        Meta(
            description="What may have made the bytes: kinds of links; `relay` for bytes that a KME made and sent over "
            "other nodes; `kme` for keys that a KME makes for several slaves or for two SAEs of its own; `sae` for "
            "keys that a master brings. Default: any."
        ),
    ] = None
    hybrid: Annotated[
        Hybrid | None,
        Meta(
            description="Keys are combined with an ML-KEM-768 secret of the KMEs, by XOR (`xor`) or by a key "
            "derivation (`kdf`), and marked so. The other KME's file shall say the same. Without any rule: none."
        ),
    ] = None
    when_dry: Annotated[
        WhenDry | None,
        Meta(
            description="When a stream is empty a request waits (`wait`), is refused at once (`refuse`), or gets keys "
            "which travel under pads that a KDF makes of earlier bytes (`expand`), and are marked so at both ends."
        ),
    ] = None
    wait_s: Annotated[
        Annotated[float, Meta(ge=0, le=60)] | None, Meta(description="Seconds that it waits at most.")
    ] = None
    abroad_wait_s: Annotated[
        Annotated[float, Meta(gt=0, le=60)] | None,
        Meta(
            description="Seconds that a request waits at most for a key with an SAE of another domain: the way there "
            "and back. One that comes later is voided."
        ),
    ] = None

    def given(self) -> dict[str, object]:
        """What the rule gives, as it stands there."""
        values = {name: getattr(self, name) for name in PAIR_FIELDS}
        return {name: value for name, value in values.items() if value is not None}

    def rule(self, base: PairPolicy) -> Rule:
        """As the service knows it; `base` completes what goes together."""
        gives = self.given()
        for group in TOGETHER:
            if any(name in gives for name in group):
                gives = {name: getattr(base, name) for name in group} | gives
        if self.sources is not None:
            relayed = KINDS_OF_RELAYED if RELAYED in self.sources else frozenset[str]()
            gives["sources"] = relayed.union(self.sources) - {RELAYED}
        if self.when_dry == "refuse":
            gives["wait_s"] = 0.0
        return Rule(self.master, self.slave, gives)
