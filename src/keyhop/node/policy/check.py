"""`keyhop policy check`: of a file that is not in use, or of a node that runs."""

from collections.abc import Iterable
from dataclasses import replace

from keyhop.core.ids import KmeId, SaeId
from keyhop.node.config import NodeConfig
from keyhop.node.from_config import sae_directory
from keyhop.node.policy.across import tell_across, tell_of_kms
from keyhop.node.policy.live import go_on, go_on_together
from keyhop.node.policy.own_keys import tell_of_own_keys, tell_of_own_keys_now
from keyhop.node.policy.several import Together
from keyhop.node.policy.state import PolicyCheck, PolicyField, PolicyQuestion, PolicyStep
from keyhop.node.policy.story import Site, Story, tell, tell_when_dry
from keyhop.service.crossing import Crossing
from keyhop.service.kme import Kme
from keyhop.service.policy import Policies


def check_config(config: NodeConfig, question: PolicyQuestion) -> PolicyCheck:
    """What the configuration says, whether a node runs with it or not. Raises ConfigurationError."""
    links = _kinds((link.peer, link.kind) for link in config.links)
    directory = sae_directory(config)
    crossing = Crossing(directory.is_foreign, directory.is_per_domain)
    site = Site(config.node.id, directory.kme_of, links, Policies(config.policy.policy()), crossing)
    return _checked(site, question, None)


def check_kme(kme: Kme, me: KmeId, links: Iterable[tuple[KmeId, str]], question: PolicyQuestion) -> PolicyCheck:
    """What a KME that runs would say now; `links` are the neighbour and the kind of each link."""
    return _checked(Site(me, kme.home, _kinds(links), kme.policies, kme.crossing), question, kme)


def _checked(site: Site, question: PolicyQuestion, kme: Kme | None) -> PolicyCheck:
    if question.additional_slaves:
        return _for_several(site, question, kme)
    story = _told(site, question)
    tell_when_dry(story)
    if kme is not None:
        go_on(story, kme)
        _end(story, kme)
    found = (story.possible, story.steps, story.fields, list(story.beside.values()))
    return PolicyCheck(site.me, question.master, question.slave, kme is not None, *found)


def _for_several(site: Site, question: PolicyQuestion, kme: Kme | None) -> PolicyCheck:
    """Each of them by itself, with keys as the first one's policy has them, and then all of them together."""
    each: dict[SaeId, Story] = {}
    for slave in question.slaves:
        each[slave] = story = _told(site, replace(question, slave=slave, additional_slaves=()))
        if story.size_bytes:
            question = replace(question, size_bits=8 * story.size_bytes, number=story.number)
        if kme is not None:
            if site.home(question.master) != site.me:
                go_on(story, kme)
            _end(story, kme)
    whole = Story(site, question)
    if site.home(question.master) == site.me and not site.crossing.foreign(question.master):
        together = Together(whole, each)
        together.tell()
        if kme is not None:
            go_on_together(together, kme)
    else:
        whole.note("slaves", f"the KME of {question.master} makes one key for them, and goes by its own policy")
    steps, fields, beside = list[PolicyStep](), list[PolicyField](), list[PolicyStep]()
    for slave, story in each.items():
        steps += (replace(step, slave=slave) for step in story.steps)
        fields += (replace(found, slave=slave) for found in story.fields)
        beside += (replace(step, slave=slave) for step in story.beside.values())
    possible = whole.possible and all(story.possible for story in each.values())
    found = (possible, steps + whole.steps, fields, beside)
    others = list(question.additional_slaves)
    return PolicyCheck(site.me, question.master, question.slave, kme is not None, *found, additional_slaves=others)


def _told(site: Site, question: PolicyQuestion) -> Story:
    story = tell(site, question)
    tell_across(story)
    tell_of_own_keys(story)
    return story


def _end(story: Story, kme: Kme) -> None:
    tell_of_kms(story, kme)
    tell_of_own_keys_now(story, kme)


def _kinds(links: Iterable[tuple[KmeId, str]]) -> dict[KmeId, frozenset[str]]:
    kinds: dict[KmeId, set[str]] = {}
    for peer, kind in links:
        kinds.setdefault(peer, set()).add(kind)
    return {peer: frozenset(each) for peer, each in kinds.items()}
