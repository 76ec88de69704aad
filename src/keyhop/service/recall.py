"""Keys taken back wherever their slaves are: at other KMEs, at this very one, and in other domains."""

from collections.abc import Callable, Mapping
from functools import partial

from keyhop.core.clock import Clock
from keyhop.core.ids import KEY_ID_BYTES, KmeId, SaeId, each_id
from keyhop.network.peer import Peer
from keyhop.network.reclaiming import Keys, TakeBack
from keyhop.network.wire_types import MAX_RECORDS_PER_BATCH
from keyhop.service.abroad import Abroad
from keyhop.service.homes import by_kme
from keyhop.service.undoing import Undoing

RECLAIM_S = 5.0

type Reclaimed = Callable[[frozenset[bytes], KmeId | None], None]
"""Gets the IDs of keys that no slave was given, and none will be; and a KME that has not said, or None."""


class Recall:
    """Of one KME."""

    def __init__(
        self,
        me: KmeId,
        peers: Mapping[KmeId, Peer],
        take_back: TakeBack,
        undoing: Undoing,
        abroad: Abroad,
        clock: Clock,
    ) -> None:
        self._me = me
        self._peers = peers
        self._take_back = take_back
        self._undoing = undoing
        self._abroad = abroad
        self._clock = clock

    def reclaim(
        self, master: SaeId, homes: Mapping[SaeId, KmeId], ids: bytes, done: Reclaimed, *, spare_fetched: bool = False
    ) -> None:
        """Takes keys of a master back from its slaves, under the IDs that SAEs show.

        With `spare_fetched`, what a slave was given stays for others at its KME.
        """
        slaves_at = by_kme(dict(sorted(homes.items())))
        # In the same order wherever a simulation runs.
        asked = [(kme, part) for kme in sorted(slaves_at) for part in _parts(ids)]
        gone, waiting, silent = set(each_id(ids)), set(asked), set[KmeId]()
        if not asked:
            done(frozenset(), None)

        def told(kme: KmeId, part: bytes, taken: bytes | None) -> None:
            waiting.discard((kme, part))
            gone.difference_update(set(each_id(part)).difference(each_id(taken or b"")))
            if taken is None:
                silent.add(kme)
            if not waiting:
                done(frozenset(gone), min(silent, default=None))

        deadline = self._clock.monotonic() + RECLAIM_S
        for kme, part in asked:
            keys, answer = Keys(master, slaves_at[kme], part, spare_fetched), partial(told, kme, part)
            if kme == self._me:
                self._take_back(self._me, keys, answer)
            elif kme in self._peers:
                self._peers[kme].relayed.reclaiming.reclaim(keys, deadline, answer)
            else:
                answer(None)

    def undo(self, master: SaeId, homes: Mapping[SaeId, KmeId], ids: bytes) -> None:
        """Takes back keys that nobody was given, nor will be, however long that takes, under the IDs that SAEs show."""
        elsewhere = by_kme(homes)
        slaves = elsewhere.pop(self._me, ())
        for kms in sorted({kms for slave in slaves if (kms := self._abroad.leads_to(slave))}):
            self._abroad.take_back(kms, master, ids)
        here = tuple(slave for slave in slaves if not self._abroad.leads_to(slave))
        if here:
            self._take_back(self._me, Keys(master, here, ids, spare_fetched=False), lambda taken: None)
        for part in _parts(ids) if elsewhere else ():
            self._undoing.undo(self._undoing.begin(master, elsewhere, part))


def _parts(ids: bytes) -> list[bytes]:
    """Each of as many as a question to a KME may have."""
    most = KEY_ID_BYTES * MAX_RECORDS_PER_BATCH
    return [ids[at : at + most] for at in range(0, len(ids), most)]
