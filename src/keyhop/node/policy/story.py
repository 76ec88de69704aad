"""What a configuration says of two SAEs and a key that one may want to share with the other.

Everything that can be said without a running node: who they are, whether they may, how large and how many keys may be,
and by which way. `live` goes on from there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import KmeId, SaeId
from keyhop.node.policy.given import fields_of, reason, shown
from keyhop.node.policy.state import PolicyField, PolicyQuestion, PolicyStep, Verdict
from keyhop.service.crossing import Crossing
from keyhop.service.policy import PairPolicy, Policies
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
    """The steps so far; `beside`, what else than having a key was looked at.

    `policy` is what holds for the pair, if anything; `target` the KME of the other one.
    """

    site: Site
    question: PolicyQuestion
    steps: list[PolicyStep] = field(default_factory=list)
    fields: list[PolicyField] = field(default_factory=list)
    beside: dict[str, PolicyStep] = field(default_factory=dict)
    policy: PairPolicy | None = None
    target: KmeId | None = None
    size_bytes: int = 0
    number: int = 0

    def yes(self, about: str, text: str) -> None:
        """This speaks for it."""
        self.steps.append(PolicyStep(about, "yes", text))

    def no(self, about: str, text: str, slave: SaeId | None = None) -> None:
        """This is against it; of several slaves, because of what holds for that one."""
        self.steps.append(PolicyStep(about, "no", text, slave))

    def note(self, about: str, text: str) -> None:
        """This is worth knowing."""
        self.steps.append(PolicyStep(about, "note", text))

    def tell_beside(self, about: str, verdict: Verdict, text: str) -> None:
        """Something else that the two may or may not do; what was told of it before is over."""
        self.beside[about] = PolicyStep(about, verdict, text)

    def may(self, about: str) -> bool:
        """Whether they may do that."""
        return about in self.beside and self.beside[about].verdict == "yes"

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
        story.no("allowed", f"{refusal.message}: {reason(site.policies, question)}")
        return story
    story.yes("allowed", reason(site.policies, question))
    story.fields = list(fields_of(site.policies, question, story.policy))
    _amount(story, story.policy)
    _way(story, story.policy)
    return story


def tell_when_dry(story: Story) -> None:
    """How long a request waits that finds no key; not so into other domains, where it may take longer."""
    policy = story.policy
    if policy is None or story.site.crossing.foreign(story.question.slave):
        return
    waits = f"waits {policy.wait_s:g} s at most" if policy.wait_s else "is refused at once (503)"
    if policy.expands:
        waits = "gets expanded ones, marked so"
    story.note("when dry", f"a request that finds no key {waits}")


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
            story.no("sources", f"the KME would make the key, and only these may: {shown(policy.sources)}")
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
        story.yes("sources", f"allowed: {shown(policy.sources)}{beside}")
    else:
        story.no("sources", f"allowed: {shown(policy.sources)}, and nothing to KME {story.target} is of these")
