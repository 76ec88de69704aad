"""Keys that are relayed one by one while their stream is being filled: how many at a time.

Such a key is there after one round trip; a block of the stream needs several, and more where others are before it. But
a key by itself costs links several times what it does as a part of a block, and where they lack it all too often comes
too late, all pads so far spent in vain. So of what the scarcest link on the way has to spare, only a small part may be
under way like that. Into a stream that has had nothing yet, links may only just have begun to bring key for anybody;
and while a stream holds something, but keeps it for other SAEs, who asks again waits long for his part of what comes.
There one small request at a time is let through in any case.
"""

from collections import Counter
from functools import partial

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import KmeId
from keyhop.network.feeder.planning import Terms
from keyhop.network.pair import Pair
from keyhop.network.relay.pads import SMALL_BYTES
from keyhop.service.courier import Courier
from keyhop.service.requests import KeyReply, Keys

PART = 16


class OnDemand:
    """Of one KME."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier
        self._under_way: Counter[KmeId] = Counter()
        """Bytes of keys, to each other KME."""

    def has_room(self, pair: Pair, relaying: Terms | None, size_bytes: int, kept: bool) -> bool:
        """Whether that much may be under way too, instead of bytes of this stream; `kept`: which it has, for others."""
        kme, under_way = pair.peer, self._under_way[pair.peer]
        if (kept or not pair.owned.brought_units) and not under_way and size_bytes <= SMALL_BYTES:
            return True
        return PART * (under_way + size_bytes) <= self._courier.spare_bytes(kme, relaying)

    def begin(self, kme: KmeId, size_bytes: int, reply: KeyReply) -> KeyReply:
        """So many bytes of key are under way, until the reply."""
        self._under_way[kme] += size_bytes
        return partial(self._end, kme, size_bytes, reply)

    def _end(self, kme: KmeId, size_bytes: int, reply: KeyReply, answer: Keys | KeyhopError) -> None:
        self._under_way[kme] -= size_bytes
        reply(answer)
