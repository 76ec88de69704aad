"""How the streams between two KMEs are relayed, so that all pairs of SAEs that share them may have keys of them."""

from collections.abc import Mapping
from dataclasses import replace

from keyhop.core.ids import KmeId
from keyhop.network.feeder.planning import Terms
from keyhop.service.policy.pair import PairPolicy
from keyhop.service.policy.policies import Policy
from keyhop.service.policy.rules import Rule, SaeClasses
from keyhop.service.policy.sae_pairs import SaePairs


def stream_terms(policy: Policy, pairs: Mapping[KmeId, SaePairs], usual: Terms) -> dict[KmeId, Terms]:
    """For each other KME the strictest way that a rule wants for some pair of a master here and a slave there; `usual`
    where none wants a stricter one. A rule that others overrule for all of its pairs counts too.
    """
    classes = SaeClasses(policy.classes)
    wanted = [(rule, terms) for rule in policy.rules if (terms := _wanted(replace(policy.base, **rule.gives)))]

    def strictest(of: SaePairs) -> Terms:
        theirs = [terms for rule, terms in wanted if _concerns(rule, of, classes)]
        return max([usual, *theirs], key=lambda terms: terms.strictness)

    return {kme: replace(strictest(of), priority=usual.priority) for kme, of in pairs.items()}


def _wanted(policy: PairPolicy) -> Terms | None:
    """How keys of streams have to come for these pairs; None when any way will do, or none."""
    terms, admission = policy.relaying, policy.admission
    if terms is None or policy.direct_only:
        return None
    if admission is not None and not admission.admits_source(terms.source):
        return None
    return terms


def _concerns(rule: Rule, pairs: SaePairs, classes: SaeClasses) -> bool:
    return any(
        any(classes.means(rule.master, master) for master in masters)
        and any(classes.means(rule.slave, slave) for slave in slaves)
        for masters, slaves in pairs.allowed
    )
