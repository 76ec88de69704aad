"""What a configuration says of two SAEs and a key that one may want to share with the other.

Everything that can be said without a running node: who they are, whether they may, how large and how many keys may be,
and by which way. `live` goes on from there.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import KmeId, SaeId
from keyhop.node.policy.state import PolicyField, PolicyQuestion, PolicyStep
from keyhop.service.crossing import Crossing
from keyhop.service.policy import Allow, PairPolicy, Policies, Rule
from keyhop.service.requests import RECORD_SOURCE


@dataclass(frozen=True, slots=True)
class Site:
    """One KME: who is served where (`home`), the kinds of its links to each neighbour, its policy, other domains."""

    me: KmeId
    home: Callable[[SaeId], KmeId | None]
    links: Mapping[KmeId, frozenset[str]]
    policies: Policies
    crossing: Crossing


@dataclass(slots=True)
class Story:
    """The steps so far. `policy` is what holds for the pair, if anything; `target` the KME of the other one."""

    site: Site
    question: PolicyQuestion
    steps: list[PolicyStep] = field(default_factory=list)
    fields: list[PolicyField] = field(default_factory=list)
    policy: PairPolicy | None = None
    target: KmeId | None = None
    size_bytes: int = 0
    number: int = 0

    def yes(self, about: str, text: str) -> None:
        """This speaks for it."""
        self.steps.append(PolicyStep(about, "yes", text))

    def no(self, about: str, text: str) -> None:
        """This is against it."""
        self.steps.append(PolicyStep(about, "no", text))

    def note(self, about: str, text: str) -> None:
        """This is worth knowing."""
        self.steps.append(PolicyStep(about, "note", text))

    @property
    def possible(self) -> bool:
        """Whether nothing is against it."""
        return all(step.verdict != "no" for step in self.steps)


def tell(site: Site, question: PolicyQuestion) -> Story:
    """All that the configuration says."""
    story = Story(site, question)
    if not _who(story):
        return story
    try:
        story.policy = site.policies.pair(question.master, question.slave)
    except KeyhopError as refusal:
        story.no("allowed", f"{refusal.message}: {_reason(story)}")
        return story
    story.yes("allowed", _reason(story))
    story.fields = list(_fields(story, story.policy))
    _amount(story, story.policy)
    _way(story, story.policy)
    _when_dry(story, story.policy)
    return story


def _who(story: Story) -> bool:
    """Whether both are known; notes whose KME is the other one."""
    site, question = story.site, story.question
    homes = [(sae, site.home(sae)) for sae in (question.master, question.slave)]
    for sae, home in homes:
        if home is None:
            story.no("who", f"{sae} is in no [[saes]] of KME {site.me}")
    (_, master_home), (_, slave_home) = homes
    if master_home is None or slave_home is None:
        return False
    served = "" if site.crossing.foreign(question.master) else "served "
    text = f"{question.master} is {served}{_where(site, *homes[0])}, {question.slave} {_where(site, *homes[1])}"
    if site.crossing.foreign(question.slave) and slave_home == site.me != master_home:
        story.note("who", f"{text}: KME {site.me} hands the key over, the other KMEs go by their own policies")
        return True
    if site.me not in (master_home, slave_home):
        story.note("who", f"{text}: KME {site.me} has no part in it, theirs go by their own policies")
        return True
    story.yes("who", text)
    story.target = slave_home if master_home == site.me else master_home
    return True


def _where(site: Site, sae: SaeId, home: KmeId | None) -> str:
    if site.crossing.foreign(sae):
        return f"in another domain, over {'this KME' if home == site.me else f'KME {home}'}"
    return "here" if home == site.me else f"at KME {home}"


def _reason(story: Story) -> str:
    policies, question = story.site.policies, story.question
    if not policies.policy.allow:
        return "without [[policy.allow]] all SAEs may share keys"
    rule = policies.allowed_by(question.master, question.slave)
    if rule is None:
        return "no [[policy.allow]] names both"
    return f"{_numbered('allow', policies.policy.allow, rule)} names both"


def _numbered(table: str, rules: tuple[Allow, ...] | tuple[Rule, ...], rule: Allow | Rule) -> str:
    number = next(n for n, each in enumerate(rules, 1) if each is rule)
    return f"[[policy.{table}]] number {number} ({rule.master} → {rule.slave})"


def _fields(story: Story, policy: PairPolicy) -> Iterator[PolicyField]:
    policies, question = story.site.policies, story.question
    rules = policies.rules_for(question.master, question.slave)
    for each in fields(PairPolicy):
        givers = [rule for rule in rules if each.name in rule.gives]
        by = _numbered("rules", policies.policy.rules, givers[-1]) if givers else "[policy]"
        yield PolicyField(each.name, _shown(getattr(policy, each.name)), by)


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, frozenset):
        return "; ".join(sorted(map(str, value)))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _amount(story: Story, policy: PairPolicy) -> None:
    question = story.question
    try:
        story.size_bytes = policy.size_bytes(question.size_bits)
        story.number = policy.number(question.number)
    except KeyhopError as refusal:
        story.no("size and number", refusal.message)
        return
    default = " (the default)" if question.size_bits is None else ""
    allowed = f"{policy.min_size_bits} to {policy.max_size_bits} bits, {policy.max_keys_per_request} in a request"
    story.yes("size and number", f"{story.number} of {8 * story.size_bytes} bits{default}; allowed: {allowed}")


def _way(story: Story, policy: PairPolicy) -> None:
    site, target = story.site, story.target
    if target is None:
        return
    if target == site.me:
        crosses = site.crossing.foreign(story.question.slave) or site.crossing.foreign(story.question.master)
        how = "this KME hands it over, or takes it" if crosses else "both are served here: the KME makes the key itself"
        story.yes("way", how)
        if policy.sources is not None and RECORD_SOURCE not in policy.sources:
            story.no("sources", f"the KME would make the key, and only these may: {_shown(policy.sources)}")
        return
    kinds = site.links.get(target, frozenset())
    if kinds:
        story.yes("way", f"links to KME {target}: {', '.join(sorted(kinds))}")
    elif policy.direct_only:
        story.no("way", f"only keys of a link are allowed (direct_only), and none leads to KME {target}")
        return
    else:
        shares = f" in shares over at least {policy.min_disjoint_paths} paths" if policy.min_disjoint_paths > 1 else ""
        story.yes(
            "way", f"no link leads to KME {target}: keys are relayed, {policy.relay or 'as [relay] has it'}{shares}"
        )
    _sources(story, policy, kinds)


def _sources(story: Story, policy: PairPolicy, kinds: frozenset[str]) -> None:
    if policy.sources is None:
        return
    relayed = not policy.direct_only and any(source.startswith("relay") for source in policy.sources)
    if kinds & policy.sources or relayed:
        forbidden = sorted(kinds - policy.sources)
        beside = f"; bytes of {', '.join(forbidden)} in the same stream are left to others" if forbidden else ""
        story.yes("sources", f"allowed: {_shown(policy.sources)}{beside}")
    else:
        story.no("sources", f"allowed: {_shown(policy.sources)}, and nothing to KME {story.target} is of these")


def _when_dry(story: Story, policy: PairPolicy) -> None:
    waits = f"waits {policy.wait_s:g} s at most" if policy.wait_s else "is refused at once (503)"
    if policy.expands:
        waits = "gets expanded ones, marked so"
    story.note("when dry", f"a request that finds no key {waits}")
