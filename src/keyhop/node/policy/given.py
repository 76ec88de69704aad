"""What holds for two SAEs, and which part of node.toml gives it."""

from collections.abc import Iterator
from dataclasses import fields

from keyhop.node.config.policy_rules import KINDS_OF_RELAYED, RELAYED
from keyhop.node.policy.state import PolicyField, PolicyQuestion
from keyhop.service.policy import Allow, PairPolicy, Policies, Rule


def reason(policies: Policies, question: PolicyQuestion) -> str:
    """Why the two may share keys, or may not."""
    if not policies.policy.allow:
        return "without [[policy.allow]] all SAEs may share keys"
    rule = policies.allowed_by(question.master, question.slave)
    if rule is None:
        return "no [[policy.allow]] names both"
    return f"{_numbered('allow', policies.policy.allow, rule)} names both"


def fields_of(policies: Policies, question: PolicyQuestion, policy: PairPolicy) -> Iterator[PolicyField]:
    """Each field of their policy."""
    rules = policies.rules_for(question.master, question.slave)
    for each in fields(PairPolicy):
        givers = [rule for rule in rules if each.name in rule.gives]
        by = _numbered("rules", policies.policy.rules, givers[-1]) if givers else "[policy]"
        yield PolicyField(each.name, shown(getattr(policy, each.name)), by)


def shown(value: object) -> str:
    """A value for people, in the words of node.toml."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, frozenset):
        return "; ".join(sorted({RELAYED if each in KINDS_OF_RELAYED else str(each) for each in value}))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _numbered(table: str, rules: tuple[Allow, ...] | tuple[Rule, ...], rule: Allow | Rule) -> str:
    number = next(n for n, each in enumerate(rules, 1) if each is rule)
    return f"[[policy.{table}]] number {number} ({rule.master} → {rule.slave})"
