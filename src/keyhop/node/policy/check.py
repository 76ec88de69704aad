"""`keyhop policy check`: of a file that is not in use, or of a node that runs."""

from collections.abc import Iterable

from keyhop.core.ids import KmeId
from keyhop.node.config import NodeConfig
from keyhop.node.from_config import sae_directory
from keyhop.node.policy.live import go_on
from keyhop.node.policy.state import PolicyCheck, PolicyQuestion
from keyhop.node.policy.story import Site, Story, tell
from keyhop.service.kme import Kme
from keyhop.service.policy import Policies


def check_config(config: NodeConfig, question: PolicyQuestion) -> PolicyCheck:
    """What the configuration says, whether a node runs with it or not. Raises ConfigurationError."""
    links = _kinds((link.peer, link.kind) for link in config.links)
    home = sae_directory(config).kme_of
    return _answer(tell(Site(config.node.id, home, links, Policies(config.policy.policy())), question), live=False)


def check_kme(kme: Kme, me: KmeId, links: Iterable[tuple[KmeId, str]], question: PolicyQuestion) -> PolicyCheck:
    """What a KME that runs would say now; `links` are the neighbour and the kind of each link."""
    story = tell(Site(me, kme.home, _kinds(links), kme.policies), question)
    go_on(story, kme)
    return _answer(story, live=True)


def _kinds(links: Iterable[tuple[KmeId, str]]) -> dict[KmeId, frozenset[str]]:
    kinds: dict[KmeId, set[str]] = {}
    for peer, kind in links:
        kinds.setdefault(peer, set()).add(kind)
    return {peer: frozenset(each) for peer, each in kinds.items()}


def _answer(story: Story, *, live: bool) -> PolicyCheck:
    question = story.question
    return PolicyCheck(story.site.me, question.master, question.slave, live, story.possible, story.steps, story.fields)
