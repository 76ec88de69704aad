"""What a running KME adds to the story of two SAEs: connections, stock, limits. Looking costs nobody anything."""

from collections.abc import Sequence

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import KmeId, SaeId, SaePair
from keyhop.core.origin import kind_of
from keyhop.core.units import UNIT_BYTES, units_for
from keyhop.network.pair import Pair
from keyhop.network.sealing import MAC_KEY_BYTES
from keyhop.node.policy.several import Together
from keyhop.node.policy.story import Story
from keyhop.service.kme import Kme
from keyhop.service.policy import PairPolicy
from keyhop.service.requests import RECORD_SOURCE
from keyhop.service.suiting import pads_for, way_for

MOST_PATHS = 4
"""How many are told, if the pair does not want more."""


def go_on(story: Story, kme: Kme) -> None:
    """Adds the steps that only a KME which runs can tell."""
    site, question, policy, target = story.site, story.question, story.policy, story.target
    _store(story, kme)
    if policy is None or target is None:
        return
    if target not in {site.me, *kme.peers}:
        story.no("KME", f"{target} is not among those that this node has started with")
        return
    if site.home(question.master) == site.me:
        _limits(story, kme)
        if target != site.me and story.possible:
            _way(story, kme, target, policy)
    if site.home(question.slave) == site.me and target != site.me:
        _fetching(story, kme, target)


def go_on_together(together: Together, kme: Kme) -> None:
    """The same, of one key for several slaves."""
    story = together.story
    _store(story, kme)
    _limits(story, kme)
    if not kme.records.has_room(story.question.master, RECORD_SOURCE, story.number):
        story.no("room", "too many keys wait to be fetched")
    if not story.possible:
        return
    for target, slave in together.elsewhere.items():
        _copies(story, kme, target, slave, tuple(together.policies.values()))


def _way(story: Story, kme: Kme, target: KmeId, policy: PairPolicy) -> None:
    """How a key would get to another KME now: one for an SAE of another domain is a record."""
    slave = story.question.slave
    if story.site.crossing.foreign(slave):
        _copies(story, kme, target, slave, (policy,))
        return
    if not policy.direct_only:
        _paths(story, kme, target, policy)
    _stock(story, kme, target, policy)


def _copies(story: Story, kme: Kme, target: KmeId, slave: SaeId, policies: Sequence[PairPolicy]) -> None:
    """Whether a record can go to a KME where that slave is, or that leads to it."""
    peer, saes = kme.peers.get(target), (story.question.master, slave)
    pad_bytes = MAC_KEY_BYTES + story.size_bytes * story.number
    if peer is None or not peer.synchronised:
        story.no("copies", f"KME {target} is not connected")
    elif any(policy.hybrid != "none" for policy in policies) and peer.secret is None:
        story.no("copies", f"no ML-KEM secret is agreed on yet with KME {target}")
    elif lack := kme.courier.lacks(target, saes, pad_bytes, pads_for(policies), way_for(policies)):
        story.no("copies", f"none can go to KME {target} now: {lack}")
    else:
        story.yes("copies", f"one can go to KME {target} now")


def _store(story: Story, kme: Kme) -> None:
    if kme.journal.failure is not None:
        story.no("store", "it has failed: the KME gives out no more keys")


def _limits(story: Story, kme: Kme) -> None:
    question = story.question
    told = (kme.limits.levels(question.master, question.master, slave) for slave in question.slaves)
    levels = "; ".join(dict.fromkeys(level for of_slave in told for level in of_slave))
    size_bytes = story.size_bytes * story.number
    try:
        kme.limits.check(question.master, question.master, question.slaves, size_bytes)
    except KeyhopError as refusal:
        story.no("limits", refusal.message)
        return
    story.yes("limits", levels or "none is set for these SAEs")


def _paths(story: Story, kme: Kme, target: KmeId, policy: PairPolicy) -> None:
    """Paths that share no node, as far as is known: what is in stock can be had without one."""
    paths = kme.view.paths(story.site.me, target, max(MOST_PATHS, policy.min_disjoint_paths))
    told = "; ".join(" → ".join(path) for path in paths) or f"no path of QKD links to KME {target} is known"
    wanted = policy.min_disjoint_paths
    if len(paths) < wanted and paths:
        told += f": {wanted} are wanted"
    if trouble := kme.feeder.trouble(target):
        told += f"; nothing is relayed: {trouble}"
    story.note("paths", told)


def _stock(story: Story, kme: Kme, target: KmeId, policy: PairPolicy) -> None:
    saes = (story.question.master, story.question.slave)
    routes, units = kme.delivery.routes, units_for(story.size_bytes) * story.number
    pairs = routes.allowed(target, policy)
    states = [_state(story, pair, saes, policy) for pair in pairs]
    text = "; ".join(told for told, _ in states)
    if any(enough for _, enough in states):
        story.yes("stock", text)
    elif policy.wait_s > 0 and routes.are_relayed_on_demand(pairs, saes, policy, units):
        story.yes("stock", f"{text}; one that is asked for is relayed then")
    elif policy.expands and routes.expand(target, policy):
        story.yes("stock", f"{text}; pads for such keys would be expanded from a seed")
    else:
        why = routes.dry(pairs[0], saes, policy, story.size_bytes, story.number)
        story.no("stock", f"{why.message} ({text})")


def _state(story: Story, pair: Pair, saes: SaePair, policy: PairPolicy) -> tuple[str, bool]:
    """A stream in words, and whether it has enough for the request now."""
    units = units_for(story.size_bytes)
    keys = pair.leasing.entitled_units(saes) // units
    told = f"{pair.route} stream: {keys} such keys for these SAEs"
    age = pair.owned.next_age()
    if age is not None:
        told += f", next bytes from {kind_of(age.source)}"
    will_do = pair.leasing.meets(policy.admission, units * story.number)
    if not will_do:
        told += ", which the policy does not allow or are too old"
    if not pair.synchronised:
        told += f", {pair.owned.leased_units * UNIT_BYTES} bytes usable while KME {pair.peer} is away"
        keys = min(keys, pair.owned.leased_units // units)
    if policy.hybrid != "none" and pair.hybrid.secret is None:
        return f"{told}, no ML-KEM secret yet", False
    return told, will_do and keys >= story.number


def _fetching(story: Story, kme: Kme, source: KmeId) -> None:
    peer = kme.peers[source]
    if all(pair.windows.ready for pair in peer.pairs):
        story.yes("fetching", f"keys of KME {source} can be fetched here")
    else:
        story.no("fetching", f"not yet synchronised with KME {source}: nothing of it can be fetched here")
