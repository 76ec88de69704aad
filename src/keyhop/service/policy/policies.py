"""The policy of one KME, and what it comes to for each pair of SAEs."""

from dataclasses import dataclass, field, replace
from typing import Any

from keyhop.core.errors import BadRequest, Unauthorised
from keyhop.core.ids import SaeId, SaePair
from keyhop.service.policy.pair import PairPolicy
from keyhop.service.policy.rules import Allow, Rule, SaeClass, SaeClasses

MAX_REMEMBERED = 1 << 16
"""For how many pairs it is remembered what holds for them."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What node.toml says. `base` holds for a pair as far as no rule says otherwise.

    Without any `allow` everyone may share keys with everyone.
    """

    base: PairPolicy = field(default_factory=PairPolicy)
    max_additional_slaves: int = 16
    redelivery_s: float = 0.0
    redelivery_bytes: int = 16 << 20
    allow: tuple[Allow, ...] = ()
    classes: tuple[SaeClass, ...] = ()
    rules: tuple[Rule, ...] = ()

    @property
    def has_hybrid(self) -> bool:
        """Whether keys of any pair are combined with ML-KEM."""
        return any(rule.gives.get("hybrid", "none") != "none" for rule in self.rules)

    @property
    def has_expand(self) -> bool:
        """Whether keys of any pair may be expanded."""
        return any(rule.gives.get("when_dry") == "expand" for rule in self.rules)


class Policies:
    """Answers for each pair of SAEs. A request costs one look at what is remembered; a reload forgets that."""

    def __init__(self, policy: Policy) -> None:
        self._pairs: dict[SaePair, PairPolicy] = {}
        self._different: dict[PairPolicy, PairPolicy] = {}
        self.replace(policy)

    def replace(self, policy: Policy) -> None:
        """Another policy from now on."""
        self.policy = policy
        self.classes = SaeClasses(policy.classes)
        self._forget()

    def pair(self, master: SaeId, slave: SaeId) -> PairPolicy:
        """What holds for the two.

        Raises BadRequest for an SAE with itself, Unauthorised for a pair that may not share keys.
        """
        found = self._pairs.get((master, slave))
        return found if found is not None else self._resolve(master, slave)

    def allowed_by(self, master: SaeId, slave: SaeId) -> Allow | None:
        """The first of the `allow` rules that covers the pair."""
        return next((rule for rule in self.policy.allow if self.classes.covers(rule, master, slave)), None)

    def rules_for(self, master: SaeId, slave: SaeId) -> list[Rule]:
        """The rules that cover the pair, in the order in which they are laid over each other."""
        covering = [rule for rule in self.policy.rules if self.classes.covers(rule, master, slave)]
        return sorted(covering, key=lambda rule: self.classes.precedence(rule, master, slave))

    def _resolve(self, master: SaeId, slave: SaeId) -> PairPolicy:
        if master == slave:
            raise BadRequest("master and slave SAE shall be different")
        if self.policy.allow and self.allowed_by(master, slave) is None:
            raise Unauthorised("these SAEs may not share keys")
        given: dict[str, Any] = {}
        for rule in self.rules_for(master, slave):
            given.update(rule.gives)
        if len(self._pairs) >= MAX_REMEMBERED:
            self._forget()
        found = replace(self.policy.base, **given)
        found = self._pairs[(master, slave)] = self._different.setdefault(found, found)
        return found

    def _forget(self) -> None:
        self._pairs.clear()
        self._different.clear()
