"""The links of a node: made from its configuration, started, sampled and closed together."""

from collections.abc import Iterator
from functools import partial

import structlog

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.ids import KmeId, LinkId
from keyhop.core.store.base import KeyStore
from keyhop.link.adapter import LinkBlock
from keyhop.link.registry import make_adapter, memory_of_old_copy
from keyhop.node.config import LinkSection, NodeConfig
from keyhop.node.link_end import StoredMemory, link_end
from keyhop.node.node_link import NodeLink
from keyhop.service.kme import Kme

_log = structlog.get_logger(__name__)


class NodeLinks:
    """Their blocks go to the KME, as long as its store works."""

    def __init__(
        self, config: NodeConfig, kme: Kme, store: KeyStore, clock: Clock, machine: Clock, entropy: Entropy
    ) -> None:
        """`clock` counts ages; `machine` is the machine's, which somebody may set."""
        self._kme = kme
        self._clock = clock
        self._machine = machine
        self._links = {link.id: self._made(config, link, store, entropy) for link in config.links}

    def __getitem__(self, link: LinkId) -> NodeLink:
        return self._links[link]

    def __iter__(self) -> Iterator[NodeLink]:
        return iter(self._links.values())

    async def start(self) -> None:
        """Begins to produce on all of them. Raises LinkError."""
        for link in self:
            await link.start()

    async def close(self) -> None:
        """The node ends: one that cannot be stopped keeps no other from it."""
        for link in self:
            try:
                await link.close()
            except Exception as error:  # noqa: BLE001 - an adapter may raise anything
                _log.error("a link did not stop", link=link.id, kind=type(error).__name__, reason=str(error))

    def sample(self) -> None:
        """A second has passed."""
        generating: dict[KmeId, bool] = {}
        for link in self:
            link.sample()
            generating[link.peer] = link.generating or generating.get(link.peer, False)
        for peer, is_generating in generating.items():
            self._kme.peers[peer].neighbour.generating = is_generating

    def _made(self, config: NodeConfig, section: LinkSection, store: KeyStore, entropy: Entropy) -> NodeLink:
        pair, journal = self._kme.peers[section.peer].neighbour, self._kme.journal
        link = NodeLink(section.id, section.peer, self._clock, partial(self._block, section.id, section.peer))
        end = link_end(section, config.node, pair, store, journal, self._clock, self._machine, entropy, link.report)
        link.adapter = make_adapter(section.kind, section.options, end)
        return link

    def _block(self, link: LinkId, peer: KmeId, block: LinkBlock) -> None:
        if self._kme.journal.failure is None:
            self._kme.peers[peer].neighbour.link_block(
                link, block.sequence, block.material, block.produced_at, block.source
            )


def forget_what_adapters_kept(config: NodeConfig, kme: Kme, store: KeyStore) -> None:
    """The store is an old copy: adapters have used since what they kept in it."""
    for link in config.links:
        memory = StoredMemory(link.id, store, kme.journal)
        saved = memory.load()
        if saved is not None:
            memory.save(memory_of_old_copy(link.kind, saved))
