"""What is told of one key for several slaves, beside what is told of each of them by itself.

It is a record of the master's KME: the same for all, so it has to suit all of them on each of its ways.
"""

from keyhop.core.ids import KmeId, SaeId
from keyhop.core.streams import Admission
from keyhop.network.wire_types import MAX_RECORDS_PER_BATCH, MAX_SEALED_BYTES
from keyhop.node.policy.given import shown
from keyhop.node.policy.story import Story
from keyhop.service.policy import PairPolicy
from keyhop.service.requests import RECORD_SOURCE
from keyhop.service.suiting import pads_for


class Together:
    """The request as a whole: `story` tells of it, after those of its slaves that their policies allow."""

    def __init__(self, story: Story, each: dict[SaeId, Story]) -> None:
        self.story = story
        self.policies: dict[SaeId, PairPolicy] = {}
        self.homes: dict[SaeId, KmeId] = {}
        for slave, alone in each.items():
            home = story.site.home(slave)
            if alone.policy is not None and home is not None:
                self.policies[slave], self.homes[slave] = alone.policy, home
        story.size_bytes, story.number = (story.question.size_bits or 0) // 8, story.question.number or 1

    @property
    def pads(self) -> Admission | None:
        """Which bytes may hide the key on its ways."""
        return pads_for(tuple(self.policies.values()))

    @property
    def elsewhere(self) -> dict[KmeId, SaeId]:
        """The other KMEs that get a copy, and one of the slaves for which each does."""
        me = self.story.site.me
        found = {home: slave for slave, home in reversed(self.homes.items()) if home != me}
        return dict(sorted(found.items()))

    def tell(self) -> None:
        """What a configuration says."""
        self._how_many()
        if len(self.policies) < 2:
            return
        for slave, policy in self.policies.items():
            self._source(slave, policy)
            self._links(slave, policy)
            self._other_domains(slave, policy)
        self._ml_kem()
        self._pads()
        self._waiting()

    def _how_many(self) -> None:
        story, slaves = self.story, self.story.question.slaves
        most = story.site.policies.policy.max_additional_slaves
        if len(set(slaves)) != len(slaves):
            story.no("slaves", "one of them is named twice")
        elif len(slaves) - 1 > most:
            story.no("slaves", f"at most {most} additional ones can be named (max_additional_slaves)")
        else:
            story.yes("slaves", f"one key for {len(slaves)}, which KME {story.site.me} makes itself")
        size, number = story.size_bytes, story.number
        if size and (number > MAX_RECORDS_PER_BATCH or size * number > MAX_SEALED_BYTES):
            story.no(
                "number", f"at most {min(MAX_RECORDS_PER_BATCH, MAX_SEALED_BYTES // size)} such keys in one request"
            )

    def _source(self, slave: SaeId, policy: PairPolicy) -> None:
        told_alone = self.homes[slave] == self.story.site.me
        if not told_alone and policy.sources is not None and RECORD_SOURCE not in policy.sources:
            text = f"for {slave} only these may make keys: {shown(policy.sources)}"
            self.story.no("source", f"{text}; keys for several are made by the KME ({RECORD_SOURCE})", slave)

    def _links(self, slave: SaeId, policy: PairPolicy) -> None:
        """What one may not have goes to none of the others either."""
        site = self.story.site
        for other, home in self.homes.items():
            if policy.direct_only and other != slave and home != site.me and not site.links.get(home):
                text = f"for {slave} only keys of a link may be used (direct_only), and none leads to {other}"
                self.story.no("links", text, slave)

    def _other_domains(self, slave: SaeId, policy: PairPolicy) -> None:
        for other in self.homes:
            reason = self.story.site.crossing.obstacle(other, policy) if other != slave else None
            if reason is not None:
                self.story.no("other domain", f"for {slave} {reason}, and {other} is in one", slave)

    def _ml_kem(self) -> None:
        story = self.story
        hybrid = {slave: policy.hybrid for slave, policy in self.policies.items() if policy.hybrid != "none"}
        if len(set(hybrid.values())) > 1:
            text = ", ".join(f"{how} for {slave}" for slave, how in hybrid.items())
            story.no("hybrid", f"the key can be combined with ML-KEM in one way only: {text}")
        foreign = next(filter(story.site.crossing.foreign, self.homes), None)
        for slave in hybrid if foreign is not None else ():
            if slave != foreign:
                story.no("hybrid", f"for {slave} it is combined with ML-KEM, and for {foreign} it cannot be", slave)

    def _pads(self) -> None:
        story, pads = self.story, self.pads
        if pads is None or pads.sources is None:
            return
        direct_only = any(policy.direct_only for policy in self.policies.values())
        relayed = not direct_only and any(source.startswith("relay") for source in pads.sources)
        text = ", ".join(
            f"{slave}: {shown(policy.sources)}" for slave, policy in self.policies.items() if policy.sources is not None
        )
        without = [
            kme for kme in self.elsewhere if not relayed and not story.site.links.get(kme, frozenset()) & pads.sources
        ]
        if without:
            story.no("pads", f"nothing to KME {without[0]} is of a source that all of them may have ({text})")
        else:
            story.yes("pads", f"of sources that all of them may have ({text})")

    def _waiting(self) -> None:
        foreign = [slave for slave in self.policies if self.story.site.crossing.foreign(slave)]
        waits = {s: self.policies[s].abroad_wait_s for s in foreign} or {s: p.wait_s for s, p in self.policies.items()}
        slave = min(waits, key=lambda each: waits[each])
        self.story.note("when dry", f"a request waits {waits[slave]:g} s at most, as holds for {slave}")
