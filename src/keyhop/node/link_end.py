"""What a node gives to one end of a link: its channel to the far end, a memory in the store, time and randomness."""

from collections.abc import Callable

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy, SystemEntropy
from keyhop.core.ids import KmeId, LinkId
from keyhop.core.journal import Journal
from keyhop.core.store.base import KeyStore, Slot
from keyhop.link.adapter import LinkEnd, LinkEvent
from keyhop.network.link_channels import PairChannel
from keyhop.network.pair import Pair
from keyhop.node.config import LinkSection, NodeSection


class StoredMemory:
    """The `LinkMemory` of one link, in the node's store."""

    def __init__(self, link: LinkId, store: KeyStore, journal: Journal) -> None:
        self._slot = Slot("adapter", link)
        self._store = store
        self._journal = journal
        self._saved: bytes | None = None

    def load(self) -> bytes | None:
        """What was saved last. Raises StoreFailure."""
        return self._saved if self._saved is not None else self._store.read(self._slot)

    def save(self, value: bytes) -> None:
        """Durable with the next commit. Raises StoreFailure."""
        self._saved = value
        self._journal.save(self._slot, lambda: value)

    def then(self, effect: Callable[[], None]) -> None:
        """What may happen once everything saved so far is durable. Raises StoreFailure."""
        self._journal.then(effect)


class _NoMemory:
    """Of an adapter that is made to see whether it can be, and is never started."""

    def load(self) -> bytes | None:
        return None

    def save(self, value: bytes) -> None:
        """Nowhere."""

    def then(self, effect: Callable[[], None]) -> None:
        """Never."""


def link_end(
    link: LinkSection,
    node: NodeSection,
    pair: Pair,
    store: KeyStore,
    journal: Journal,
    clock: Clock,
    machine: Clock,
    entropy: Entropy,
    report: Callable[[LinkEvent], None],
) -> LinkEnd:
    """For an adapter that will run."""
    return LinkEnd(
        link=link.id,
        me=node.id,
        peer=link.peer,
        lab=node.lab,
        clock=clock,
        machine=machine,
        entropy=entropy,
        channel=pair.link_channel(link.id),
        memory=StoredMemory(link.id, store, journal),
        after=pair.filling.last_seen(link.id),
        report=report,
    )


def unconnected_end(link: LinkSection, me: KmeId, *, lab: bool, clock: Clock) -> LinkEnd:
    """For an adapter that is made only to see whether it can be."""
    return LinkEnd(
        link=link.id,
        me=me,
        peer=link.peer,
        lab=lab,
        clock=clock,
        machine=clock,
        entropy=SystemEntropy(),
        channel=PairChannel(link.id, lambda body: None),
        memory=_NoMemory(),
    )
