"""`keyhop policy check`: of a file that is not in use, or of a node that runs."""

from collections.abc import Iterable

from keyhop.core.ids import KmeId
from keyhop.node.config import NodeConfig
from keyhop.node.from_config import sae_directory
from keyhop.node.policy.across import tell_across, tell_of_kms
from keyhop.node.policy.live import go_on
from keyhop.node.policy.own_keys import tell_of_own_keys, tell_of_own_keys_now
from keyhop.node.policy.state import PolicyCheck, PolicyQuestion
from keyhop.node.policy.story import Site, Story, tell
from keyhop.service.crossing import Crossing
from keyhop.service.kme import Kme
from keyhop.service.policy import Policies


def check_config(config: NodeConfig, question: PolicyQuestion) -> PolicyCheck:
    """What the configuration says, whether a node runs with it or not. Raises ConfigurationError."""
    links = _kinds((link.peer, link.kind) for link in config.links)
    directory = sae_directory(config)
    crossing = Crossing(directory.is_foreign, directory.is_per_domain)
    site = Site(config.node.id, directory.kme_of, links, Policies(config.policy.policy()), crossing)
    return _answer(_told(site, question), live=False)


def check_kme(kme: Kme, me: KmeId, links: Iterable[tuple[KmeId, str]], question: PolicyQuestion) -> PolicyCheck:
    """What a KME that runs would say now; `links` are the neighbour and the kind of each link."""
    story = _told(Site(me, kme.home, _kinds(links), kme.policies, kme.crossing), question)
    go_on(story, kme)
    tell_of_kms(story, kme)
    tell_of_own_keys_now(story, kme)
    return _answer(story, live=True)


def _told(site: Site, question: PolicyQuestion) -> Story:
    story = tell(site, question)
    tell_across(story)
    tell_of_own_keys(story)
    return story


def _kinds(links: Iterable[tuple[KmeId, str]]) -> dict[KmeId, frozenset[str]]:
    kinds: dict[KmeId, set[str]] = {}
    for peer, kind in links:
        kinds.setdefault(peer, set()).add(kind)
    return {peer: frozenset(each) for peer, each in kinds.items()}


def _answer(story: Story, *, live: bool) -> PolicyCheck:
    question = story.question
    found = (story.possible, story.steps, story.fields, list(story.beside.values()))
    return PolicyCheck(story.site.me, question.master, question.slave, live, *found)
