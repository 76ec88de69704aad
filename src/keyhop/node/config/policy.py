"""`[policy]` of node.toml: what SAEs may have, and how much. What holds for some of them: `policy_rules`."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from keyhop.network.wire_types import MAX_SLAVES
from keyhop.node.config.policy_rules import ClassEntry, RuleEntry
from keyhop.service.gauges import Quota, Rate
from keyhop.service.meters import Limit
from keyhop.service.policy import ANYONE, Allow, PairPolicy, Policy

_Rate = Annotated[float, Meta(gt=0, le=1e12)]
_Amount = Annotated[int, Meta(ge=1, le=10**15)]


@dataclass(frozen=True, slots=True)
class AllowRule:
    """Who may share keys. Without any rule, everyone with everyone."""

    master: Annotated[str, Meta(description="An SAE's ID, a class of SAEs, or `*` for any.")] = "*"
    slave: Annotated[str, Meta(description="The same.")] = "*"


@dataclass(frozen=True, slots=True)
class LimitEntry:
    """How much each SAE (`sae`), or each pair (`master`, `slave` or both), may ask for; `*` names each one for itself.

    Of those that name an SAE the most specific counts, whole, and of those that name a pair; one of each can count.
    Requests are enc_keys and dec_keys. Bytes of key are those that enc_keys asks for, once for each slave. Over a
    limit a request gets 503 with a Retry-After, and costs nothing. Levels begin full when the node starts.
    """

    sae: Annotated[str | None, Meta(description="An SAE's ID, or `*` for each.")] = None
    master: Annotated[str | None, Meta(description="An SAE's ID, or `*` for each, which is also the default.")] = None
    slave: Annotated[str | None, Meta(description="The same.")] = None
    requests_per_s: Annotated[_Rate | None, Meta(description="Requests a second, in the long run.")] = None
    requests_burst: Annotated[_Amount | None, Meta(description="Requests at once.")] = None
    bytes_per_s: Annotated[_Rate | None, Meta(description="Bytes of key a second, in the long run.")] = None
    bytes_burst: Annotated[_Amount | None, Meta(description="Bytes of key at once.")] = None
    quota_bytes: Annotated[_Amount | None, Meta(description="Bytes of key in each period.")] = None
    quota_period_s: Annotated[
        Annotated[float, Meta(gt=0, le=31_536_000)] | None,
        Meta(description="Seconds of a period; it begins with its first request."),
    ] = None

    def limit(self) -> Limit:
        """As the service knows it."""
        of = self.sae or (self.master or ANYONE, self.slave or ANYONE)
        return Limit(
            of,
            Rate(self.requests_per_s, self.requests_burst) if self.requests_per_s and self.requests_burst else None,
            Rate(self.bytes_per_s, self.bytes_burst) if self.bytes_per_s and self.bytes_burst else None,
            Quota(self.quota_bytes, self.quota_period_s) if self.quota_bytes and self.quota_period_s else None,
        )


@dataclass(frozen=True, slots=True)
class PolicySection:
    """What SAEs may have, as far as no rule says otherwise. Sizes of keys are in bits, in steps of 8."""

    default_size_bits: Annotated[
        int, Meta(ge=8, le=8192, multiple_of=8, description="Size of a key when the SAE names none.")
    ] = 256
    min_size_bits: Annotated[int, Meta(ge=8, le=8192, multiple_of=8, description="Smallest key.")] = 64
    max_size_bits: Annotated[int, Meta(ge=8, le=8192, multiple_of=8, description="Largest key.")] = 8192
    max_keys_per_request: Annotated[int, Meta(ge=1, le=65_536, description="Keys in one request.")] = 1024
    max_additional_slaves: Annotated[
        int, Meta(ge=0, le=MAX_SLAVES - 1, description="Additional slave SAEs in one request; 0: no multicast.")
    ] = 16
    wait_s: Annotated[float, Meta(ge=0, le=60, description="Seconds that a request waits when a stream is empty.")] = (
        2.0
    )
    redelivery_s: Annotated[
        float,
        Meta(ge=0, le=60, description="Seconds in which a slave may have the same key once more; 0: never."),
    ] = 0.0
    redelivery_bytes: Annotated[
        int, Meta(ge=65_536, le=1 << 34, description="Bytes of memory for keys that may be asked for once more.")
    ] = 16_777_216
    key_lifetime_s: Annotated[
        float, Meta(gt=0, le=31_536_000, description="Seconds until a key that nobody fetched is erased.")
    ] = 86_400.0
    stock_bytes: Annotated[
        int, Meta(ge=65_536, le=1 << 38, description="Bytes to keep in stock per stream; what is more is discarded.")
    ] = 16_777_216
    reserved_bytes_per_pair: Annotated[
        int,
        Meta(
            ge=0,
            le=1 << 30,
            description="Bytes of the stock that are reserved for each master and slave, so that others cannot take "
            "everything. In all at most half of stock_bytes, and of a relayed stream half of what it usually "
            "holds. 0: nothing is reserved.",
        ),
    ] = 4096
    unfetched_bytes: Annotated[
        int,
        Meta(
            ge=65_536,
            le=1 << 38,
            description="Bytes to keep per stream for slaves that have not fetched yet; over it the oldest are erased.",
        ),
    ] = 67_108_864
    allow: Annotated[tuple[AllowRule, ...], Meta(description="Who may share keys with whom.")] = ()
    classes: Annotated[tuple[ClassEntry, ...], Meta(description="Names for several SAEs.")] = ()
    rules: Annotated[tuple[RuleEntry, ...], Meta(description="What holds for some pairs of SAEs.")] = ()
    limits: Annotated[tuple[LimitEntry, ...], Meta(description="How much SAEs may ask for.")] = ()

    def policy(self) -> Policy:
        """The part that the service decides by."""
        base = PairPolicy(
            default_size_bits=self.default_size_bits,
            min_size_bits=self.min_size_bits,
            max_size_bits=self.max_size_bits,
            max_keys_per_request=self.max_keys_per_request,
            wait_s=self.wait_s,
        )
        return Policy(
            base,
            max_additional_slaves=self.max_additional_slaves,
            redelivery_s=self.redelivery_s,
            redelivery_bytes=self.redelivery_bytes,
            allow=tuple(Allow(rule.master, rule.slave) for rule in self.allow),
            classes=tuple(each.sae_class() for each in self.classes),
            rules=tuple(rule.rule(base) for rule in self.rules),
        )
