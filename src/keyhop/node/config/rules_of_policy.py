"""What must hold in `[[policy.allow]]`, `[[policy.classes]]` and `[[policy.rules]]` of a configuration."""

from collections import Counter
from typing import TYPE_CHECKING

from keyhop.core.errors import ConfigurationError
from keyhop.core.ids import SaeId
from keyhop.core.names import hint_of_names
from keyhop.link.registry import kinds
from keyhop.node.config.gateways import foreign_saes
from keyhop.node.config.policy_rules import PAIR_FIELDS, RELAYED, RuleEntry
from keyhop.service.policy import ANYONE, PairPolicy
from keyhop.service.requests import RECORD_SOURCE, SAE_SOURCE

if TYPE_CHECKING:
    from keyhop.node.config.node_config import NodeConfig


def check(config: "NodeConfig") -> None:
    """Raises ConfigurationError at the first thing that cannot be meant."""
    _check_classes(config)
    _check_names(config)
    base = config.policy.policy().base
    for number, entry in enumerate(config.policy.rules, 1):
        _check_rule(f"[[policy.rules]] number {number}", entry, base, config.policy.key_lifetime_s)


def _check_classes(config: "NodeConfig") -> None:
    saes: set[str] = {sae.id for sae in config.saes}
    foreign = foreign_saes(config)
    times = Counter(each.name for each in config.policy.classes)
    for each in config.policy.classes:
        where = f'[[policy.classes]] "{each.name}"'
        if times[each.name] > 1:
            raise ConfigurationError(f"{where} stands there {times[each.name]} times", hint="put them into one")
        if each.name == ANYONE or each.name in saes:
            meaning = "anyone" if each.name == ANYONE else "an SAE"
            raise ConfigurationError(f"{where} means {meaning} already", hint="choose another name")
        for sae in each.saes:
            if ANYONE not in sae and sae not in saes and foreign.way_to(SaeId(sae)) is None:
                raise _unknown(where, "SAE", sae, saes)


def _check_names(config: "NodeConfig") -> None:
    known = {sae.id for sae in config.saes} | {each.name for each in config.policy.classes}
    foreign = foreign_saes(config)
    allow = [(f"[[policy.allow]] number {n}", rule.master, rule.slave) for n, rule in enumerate(config.policy.allow, 1)]
    rules = [(f"[[policy.rules]] number {n}", rule.master, rule.slave) for n, rule in enumerate(config.policy.rules, 1)]
    for where, *names in (*allow, *rules):
        for name in names:
            if name != ANYONE and name not in known and foreign.way_to(SaeId(name)) is None:
                raise _unknown(where, "SAE or class", name, known)


def _unknown(where: str, kind: str, name: str, known: set[str]) -> ConfigurationError:
    listed = "[[saes]]" if kind == "SAE" else "[[saes]] or [[policy.classes]]"
    return ConfigurationError(
        f'{where} names the {kind} "{name}", which is not in {listed}',
        hint=hint_of_names(name, sorted(known), "there are"),
    )


def _check_rule(where: str, entry: RuleEntry, base: PairPolicy, key_lifetime_s: float) -> None:
    gives = entry.rule(base).gives
    if not gives:
        raise ConfigurationError(f"{where} says nothing", hint="give one of: " + ", ".join(PAIR_FIELDS))
    if "min_size_bits" in gives:
        _check_sizes(where, gives["min_size_bits"], gives["default_size_bits"], gives["max_size_bits"])
    if entry.key_lifetime_s is not None and entry.key_lifetime_s > key_lifetime_s:
        raise ConfigurationError(
            f"{where} has key_lifetime_s = {entry.key_lifetime_s:g}, when bytes are erased after {key_lifetime_s:g} s",
            hint="[policy] key_lifetime_s has to be the longest",
        )
    if entry.when_dry == "refuse" and entry.wait_s is not None:
        raise ConfigurationError(f'{where} has wait_s beside when_dry = "refuse"', hint="give one of them")
    if entry.when_dry == "expand":
        _check_expanding(where, entry)
    _check_sources(where, entry)
    _check_relay(where, entry)


def _check_expanding(where: str, entry: RuleEntry) -> None:
    if entry.hybrid not in (None, "none"):
        raise ConfigurationError(f'{where} has hybrid beside when_dry = "expand"', hint="give one of them")
    if entry.sources is not None and RECORD_SOURCE not in entry.sources:
        raise ConfigurationError(
            f'{where} has when_dry = "expand", and sources without "{RECORD_SOURCE}"',
            hint=f'expanded keys are made by the KME: add "{RECORD_SOURCE}"',
        )


def _check_sizes(where: str, least: int, default: int, most: int) -> None:
    if not least <= default <= most:
        raise ConfigurationError(
            f"{where} comes to min_size_bits {least}, default_size_bits {default} and max_size_bits {most}, which are "
            "not in this order",
            hint="what a rule does not give of the three is as [policy] has it: give the others too",
        )


def _check_sources(where: str, entry: RuleEntry) -> None:
    known = (*kinds(), RELAYED, RECORD_SOURCE, SAE_SOURCE)
    for source in entry.sources or ():
        if source not in known:
            raise ConfigurationError(
                f'{where} has the source "{source}", which makes no keys',
                hint=hint_of_names(source, known, "the sources are"),
            )


def _check_relay(where: str, entry: RuleEntry) -> None:
    paths, threshold = entry.min_disjoint_paths or 1, entry.relay_threshold
    if entry.relay == "secret-shared":
        if paths < 2:
            raise ConfigurationError(
                f'{where} has relay = "secret-shared" over one path', hint="give min_disjoint_paths = 2 or more"
            )
        if threshold is not None and threshold > paths:
            raise ConfigurationError(
                f"{where} has relay_threshold = {threshold} of min_disjoint_paths = {paths}",
                hint="a key of k shares out of n: k is the threshold, n the number of paths",
            )
    elif paths > 1 or threshold is not None:
        what = "min_disjoint_paths" if paths > 1 else "relay_threshold"
        raise ConfigurationError(f'{where} has {what} without relay = "secret-shared"', hint="only that has shares")
    if entry.direct_only and (entry.relay is not None):
        raise ConfigurationError(f"{where} has relay beside direct_only", hint="give one of them")
