"""Within which delivery windows keys of a KME's masters are given out here, or voided: so that a restored backup, which
would know nothing of that, is found out (`network.windows`)."""

from collections.abc import Callable, Mapping
from functools import partial

from keyhop.core.errors import Unavailable
from keyhop.core.ids import KmeId
from keyhop.network.pair import Pair
from keyhop.network.peer import Peer


def gates(peers: Mapping[KmeId, Peer], source: KmeId, *, are_new: bool = False) -> tuple[Pair, ...]:
    """The pairs within whose windows keys of that KME are delivered; of this very KME, those of some peer.

    Raises Unavailable before marks have been compared. Keys of this very KME that `are_new` need not wait for that.
    """
    peer = peers.get(source) or next(iter(peers.values()), None)
    if peer is None:
        return ()
    if not (peer.marks_compared or are_new):  # any stream of it may have been a gate before
        raise _not_synchronised(peer.id)
    return peer.fetched_within


def check_not_doubted(peers: Mapping[KmeId, Peer]) -> None:
    """A record is of no stream, so no window keeps a copy of this node from delivering it too. Raises Unavailable."""
    for peer in peers.values():
        if peer.doubted:
            raise _not_synchronised(peer.id)


def enter(through: tuple[Pair, ...], act: Callable[[], None], late: Callable[[KmeId], None]) -> None:
    """Acts within a window of each, now if all of them are open; or tells `late` which KME did not answer in time."""
    closed = [gate for gate in through if not gate.windows.admits()]
    if closed:
        for gate in closed[:-1]:
            gate.windows.expect()  # so that all of them open at the same time
        act = partial(_act, through, act)
        for gate in through:
            act = partial(gate.windows.enter, act, partial(late, gate.peer))
    act()


def _act(through: tuple[Pair, ...], act: Callable[[], None]) -> None:
    """A window that was open may be over by the time that the others are."""
    for gate in through:
        gate.windows.use()
    act()


def _not_synchronised(peer: KmeId) -> Unavailable:
    return Unavailable(f"not yet synchronised with KME {peer}", retry_after_s=1.0)
