"""One KME's production state machines on virtual time."""

from collections.abc import Callable, Collection, Mapping
from functools import partial

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId, LinkId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.base import Slot
from keyhop.core.store.memory import MemoryStore
from keyhop.core.witness import WitnessKeeper
from keyhop.network.feeder.options import FeederOptions
from keyhop.network.feeder.planning import Terms
from keyhop.network.pair import PairOptions
from keyhop.network.psk.generations import NO_PSKS, Psks
from keyhop.service.kme import Kme
from keyhop.service.kme_options import KmeOptions, OtherDomains
from keyhop.service.policy import Policy, sae_pairs, stream_terms
from keyhop.testing.audit import MemoryAudit


class VirtualKme:
    """A KME without sockets: a disk and an audit log that survive crashes, and memory that does not.

    `home` maps each SAE to its KME; `neighbours` are the `peers` that links join with it, all of them by default.
    What it would send to a peer goes to `transmit(peer, message)`. With a `keeper` it has a witness, which outlives
    crashes and restored disks; `abroad` are the domains of other KMSs.
    """

    def __init__(
        self,
        name: KmeId,
        peers: tuple[KmeId, ...],
        home: Mapping[SaeId, KmeId],
        clock: Clock,
        entropy: Entropy,
        transmit: Callable[[KmeId, bytes], None],
        policy: Policy,
        options: PairOptions,
        keeper: WitnessKeeper | None = None,
        neighbours: Collection[KmeId] | None = None,
        feeder: FeederOptions | None = None,
        terms: Terms | None = None,
        abroad: OtherDomains | None = None,
        psks: Psks = NO_PSKS,
    ) -> None:
        self.name = name
        self._peers = peers
        self._neighbours = peers if neighbours is None else neighbours
        self._home = home
        self._clock = clock
        self._entropy = entropy
        self._transmit = transmit
        self._policy = policy
        self._options = options
        self._keeper = keeper
        self._feeder = feeder or FeederOptions()
        self._terms = terms or Terms()
        self._abroad = abroad
        self._psks = psks
        self.audit = MemoryAudit(clock)
        self.start({})

    def start(self, disk: Mapping[Slot, bytes]) -> None:
        """Starts on what a disk holds: an empty one, the one it had, or a restored copy."""
        self.store = MemoryStore(disk)
        self.kme = Kme(
            self.name,
            self._peers,
            self._neighbours,
            self._home.get,
            self.store,
            self.audit,
            self._clock,
            self._entropy,
            lambda: None,
            self.options_with(self._policy),
            self._keeper,
            self._psks,
            self._abroad,
        )
        self.kme.open()
        self.journal, self.records = self.kme.journal, self.kme.records
        self.peers, self.delivery = self.kme.peers, self.kme.delivery
        for peer in self.peers:
            self.connect(peer)

    def options_with(self, policy: Policy) -> KmeOptions:
        """Those of this KME, with that policy."""
        pairs = sae_pairs(policy, self._home, self.name)
        terms = stream_terms(policy, pairs, self._terms)
        return KmeOptions(
            policy, self._options, sae_pairs=pairs, terms=self._terms, stream_terms=terms, feeder=self._feeder
        )

    def connect(self, peer: KmeId) -> None:
        """There is a connection to a peer."""
        self.peers[peer].connect(partial(self._transmit, peer))

    def crash(self) -> None:
        """Loses memory, keeps the disk, and starts again."""
        self.start(self.store.values)

    def received(self, peer: KmeId, data: bytes) -> None:
        """A message from a peer; one that breaks the protocol costs the connection."""
        state = self.peers[peer]
        try:
            state.received(data)
        except PeerError:
            state.disconnect()
            self.connect(peer)

    def link_block(self, peer: KmeId, sequence: int, data: bytes, source: str = "virtual") -> None:
        """The link to a neighbour, of the kind `source`, produces a block."""
        link = LinkId("-".join(sorted((self.name, peer))))
        self.peers[peer].neighbour.link_block(link, sequence, KeyMaterial(data), self._clock.wall(), source)

    def tick(self) -> None:
        """Time has passed."""
        self.kme.tick()
