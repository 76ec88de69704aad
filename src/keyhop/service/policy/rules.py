"""Whom a rule is for.

A side of a rule names an SAE, a class of SAEs, or anyone. Of two rules that give the same thing the more specific one
counts: the master's side is compared first, then the slave's; an SAE's ID beats a class, and a class beats `*`. Of two
that are equally specific the later one counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from re import Pattern
from typing import Any

from keyhop.core.ids import SaeId
from keyhop.service.sae_patterns import one_of

ANYONE = "*"

_NOT_MEANT, _AS_ANYONE, _AS_ONE_OF_A_CLASS, _BY_NAME = range(-1, 3)

type Precedence = tuple[int, int]


@dataclass(frozen=True)
class SaeClass:
    """SAEs under one name: their IDs, or patterns in which `*` stands for any characters."""

    name: str
    saes: tuple[str, ...]

    def __contains__(self, sae: SaeId) -> bool:
        return self._pattern.fullmatch(sae) is not None

    @cached_property
    def _pattern(self) -> Pattern[str]:
        return one_of(self.saes)


@dataclass(frozen=True, slots=True)
class Allow:
    """Keys may be shared by this master with this slave: an SAE, a class, or `*` for anyone."""

    master: str = ANYONE
    slave: str = ANYONE


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for this master and this slave (an SAE, a class, or `*`): some fields of `PairPolicy`."""

    master: str = ANYONE
    slave: str = ANYONE
    gives: Mapping[str, Any] = field(default_factory=dict)


class SaeClasses:
    """Tells whether a name in a rule means an SAE."""

    def __init__(self, classes: Iterable[SaeClass]) -> None:
        self._classes = {each.name: each for each in classes}

    def means(self, name: str, sae: SaeId) -> bool:
        """Whether `name` is this SAE's, its class's, or `*`."""
        return self._specificity(name, sae) != _NOT_MEANT

    def covers(self, rule: Allow | Rule, master: SaeId, slave: SaeId) -> bool:
        """Whether the rule speaks of this pair."""
        return self.means(rule.master, master) and self.means(rule.slave, slave)

    def precedence(self, rule: Rule, master: SaeId, slave: SaeId) -> Precedence:
        """Of two rules that cover this pair the one with the higher precedence counts."""
        return self._specificity(rule.master, master), self._specificity(rule.slave, slave)

    def _specificity(self, name: str, sae: SaeId) -> int:
        if name == sae:
            return _BY_NAME
        if name == ANYONE:
            return _AS_ANYONE
        named = self._classes.get(name)
        return _AS_ONE_OF_A_CLASS if named is not None and sae in named else _NOT_MEANT
