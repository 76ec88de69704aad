"""Checks the promises against what was seen from outside.

The checker knows what link devices produced and what KMEs drew at random, what went over the wire, and what SAEs asked
for and got. It knows nothing of streams, epochs or leases. The promises have the numbers of docs/reference/promises.md;
of the last one, the audit record, others know.

What is not promised: a KME restored from a backup may give out again what it gave out since its peer last knew it
to be well (`excuse`).
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from keyhop.core.ids import KEY_ID_BYTES, KmeId, SaeId
from keyhop.core.streams import StreamRef
from keyhop.core.units import UNIT_BYTES
from keyhop.network.relay.messages import SECRET_HEAD_BYTES, Announce, Forward, PadPlace
from keyhop.network.sealing import xor
from keyhop.network.wire import Body, Carry
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys

MAC_KEY_BYTES = 32
STREAM_ID_VERSION = 8
MAX_BLOCK_UNITS = 1 << 24
LEAST_RELAYED_BYTES = 136
"""So much of random at least is in a block that is relayed."""
LATELY = 256
"""What a KME drew last is looked through for what it relays."""

type Holds = Callable[[bytes, SaeId, SaeId], bytes | None]
"""The bytes that the slave's KME holds durably for (key ID, master, slave)."""


class Violation(AssertionError):
    """A promise was broken; `promise` is its number, 0 for what goes without saying."""

    def __init__(self, promise: int, what: str) -> None:
        super().__init__(f"promise {promise}: {what}")
        self.promise = promise


@dataclass(slots=True)
class Seen:
    """A key that a master got."""

    key_id: bytes
    master: SaeId
    slaves: tuple[SaeId, ...]
    key: bytes
    got_at: float
    fetched: dict[SaeId, float] = field(default_factory=dict)
    excused: set[SaeId] = field(default_factory=set)
    again: set[SaeId] = field(default_factory=set)


class History:
    """What was seen of a network so far. Every method that is told something raises `Violation`.

    `redelivery_s` is the re-delivery window of its KMEs; `home` tells the KME of each SAE.
    """

    def __init__(self, redelivery_s: float, home: Mapping[SaeId, KmeId]) -> None:
        self._redelivery_s = redelivery_s
        self._home = home
        self.keys: dict[bytes, Seen] = {}
        self._good: dict[bytes, int] = {}
        self._blocks: list[bytes] = []
        self._makers: dict[int, KmeId] = {}
        """Of blocks that no link produced."""
        self._drawn: defaultdict[tuple[KmeId, int], deque[bytes]] = defaultdict(lambda: deque(maxlen=LATELY))
        """What a KME drew, by its size."""
        self._announced: dict[bytes, Announce] = {}
        self._bad: set[bytes] = set()
        self._uses: dict[bytes, str] = {}
        self._carried: dict[bytes, dict[bytes, Carry]] = {}
        self._places: dict[tuple[StreamRef, int, int], bytes] = {}
        self._altered: set[bytes] = set()

    def produced(self, left: bytes | None, right: bytes | None) -> None:
        """A link produced a block: the same at both ends, different ones, or one at one end only."""
        if left is None or right is None or left != right:
            for data in (left, right):
                self._bad.update(_units(data or b""))
            return
        self._note_block(left)
        self._use(left[:MAC_KEY_BYTES], "MAC key of its block")

    def drew(self, kme: KmeId, data: bytes) -> None:
        """A KME drew these random bytes: what it relays is of such bytes, and keys that its masters get may be."""
        if len(data) >= LEAST_RELAYED_BYTES:
            self._makers[len(self._blocks)] = kme
            self._note_block(data)
            self._drawn[kme, len(data)].append(data)

    def transmitted(self, stream: StreamRef, message: Body) -> None:
        """A KME sent something to the follower of one of its streams, perhaps under a pad of that stream."""
        match message:
            case Announce():
                self._announced[message.parcel] = message
            case Carry():
                self._carried.setdefault(message.ids, {})[message.batch] = message
                self._pad(stream, message, len(message.sealed))
            case Forward():
                self._pad(stream, message, len(message.sealed))
                self._trace_share(message)
            case PadPlace():
                self._pad(stream, message, message.size)

    def given(self, stream: StreamRef, epoch: int, start: int, units: int, key_id: bytes) -> None:
        """A master got these units of a stream, from the key with this ID on."""
        self._occupy(stream, epoch, start, units, key_id)

    def begins_anew(self, kme: KmeId) -> None:
        """A KME knows nothing of its streams any more: epochs of other bytes may have numbers that were used before."""
        self._places = {place: use for place, use in self._places.items() if kme not in place[0][:2]}

    def altered(self, ids: bytes) -> None:
        """Somebody put an altered message on the wire, about the records with these IDs."""
        self._altered.update(each_id(ids))

    @property
    def altered_ids(self) -> list[bytes]:
        """IDs that only altered messages name."""
        true = {key_id for ids in self._carried for key_id in each_id(ids)}
        return sorted(self._altered - true)

    def master_got(self, request: GetKey, keys: Keys, at: float, holds: Holds | None) -> None:
        """An enc_keys request was answered; `holds` is None when the slave's KME is under repair."""
        slaves = (request.slave, *request.additional_slaves)
        if sum(run.count for run in keys.runs) != (request.number or 1):
            raise Violation(0, "the answer has not as many keys as were asked for")
        for run in keys.runs:
            for key_id, key in _keys(run.ids, run.material.reveal(), run.size_bytes):
                if key_id in self.keys:
                    raise Violation(2, "an ID was given out twice")
                self.keys[key_id] = Seen(key_id, request.master, slaves, key, at)
                self._trace(key_id, key, self._home[request.master])
                for slave in slaves if holds else ():
                    assert holds is not None
                    held = holds(key_id, request.master, slave)
                    if held is None:
                        raise Violation(5, f"the KME of {slave} does not hold the key")
                    if held != key:
                        raise Violation(6 if key_id in self._altered else 1, f"the KME of {slave} holds another key")
            self._trace_pad(run.ids, run.material.reveal())

    def slave_got(self, request: GetKeyWithIds, keys: Keys, asked_at: float, at: float) -> None:
        """A dec_keys request was answered. What it waited for is no part of a re-delivery window."""
        got = [pair for run in keys.runs for pair in _keys(run.ids, run.material.reveal(), run.size_bytes)]
        if tuple(key_id for key_id, _ in got) != request.key_ids:
            raise Violation(0, "the answer is not what was asked for")
        for key_id, key in got:
            self._fetched(request, key_id, key, asked_at, at)

    def excuse(self, at_home: Callable[[SaeId], bool], since: float) -> None:
        """A KME was restored to a copy: its SAEs may get again what they got since then."""
        for seen in self.keys.values():
            seen.excused.update(slave for slave, at in seen.fetched.items() if at >= since and at_home(slave))

    def _fetched(self, request: GetKeyWithIds, key_id: bytes, key: bytes, asked_at: float, at: float) -> None:
        seen, slave = self.keys.get(key_id), request.slave
        if seen is None:
            altered = key_id in self._altered
            raise Violation(6 if altered else 4, "a key that no master was given")
        if (request.master, slave) not in {(seen.master, entitled) for entitled in seen.slaves}:
            raise Violation(4, f"{slave} got a key of {seen.master} for {seen.slaves}")
        if key != seen.key:
            raise Violation(1, "the two ends of an ID got different bytes")
        if slave not in seen.fetched or slave in seen.excused:
            seen.excused.discard(slave)
            seen.again.discard(slave)
            seen.fetched[slave] = at
        elif not self._redelivery_s or slave in seen.again or asked_at - seen.fetched[slave] > self._redelivery_s:
            raise Violation(3, f"{slave} got a key twice")
        else:
            seen.again.add(slave)

    def _note_block(self, data: bytes) -> None:
        first = len(self._blocks) * MAX_BLOCK_UNITS
        self._good.update(zip(_units(data), range(first, first + MAX_BLOCK_UNITS)))  # noqa: B905 - as many as there are
        self._blocks.append(data)

    def _pad(self, stream: StreamRef, message: Carry | Forward | PadPlace, size_bytes: int) -> None:
        """Each unit may pad one message only."""
        units = -(-(MAC_KEY_BYTES + size_bytes) // UNIT_BYTES)
        self._occupy(stream, message.epoch, message.pad, units, message.tag)

    def _occupy(self, stream: StreamRef, epoch: int, start: int, units: int, use: bytes) -> None:
        if self._places.get((stream, epoch, start)) == use:
            return  # a message that is sent again
        for position in range(start, start + units):
            if self._places.setdefault((stream, epoch, position), use) != use:
                raise Violation(2, f"a place in {stream} was used twice")

    def _trace_share(self, message: Forward) -> None:
        """What is relayed as a whole, its source has drawn, so we know the pads under which it goes; what is shared, no
        node on its way can read."""
        announce, source = self._announced.get(message.parcel), KmeId(message.route[0])
        if announce is None or announce.size < LEAST_RELAYED_BYTES:
            return
        sealed, shared = message.sealed[SECRET_HEAD_BYTES:], announce.strategy == "secret-shared"
        for data in reversed(self._drawn[source, announce.size]):
            if xor(sealed[:UNIT_BYTES], data[:UNIT_BYTES]) in self._good:
                if shared:
                    raise Violation(4, f"a node on the way of a share can read what {source} shares")
                self._use_pad(xor(sealed, data), f"pad {message.tag.hex()}")
                return
        if not shared:
            raise Violation(6, f"what is relayed is nothing that {source} has drawn")

    def _trace(self, key_id: bytes, key: bytes, made_at: KmeId) -> None:
        """Every unit of a key belongs to it alone. If it is of a stream, a link produced it in a good block, or the
        KME of the master drew it."""
        from_stream = key_id[6] >> 4 == STREAM_ID_VERSION
        units = _units(key)
        for unit in units:
            if unit in self._bad:
                raise Violation(6, "a byte of a failed block was delivered")
            if from_stream and (unit not in self._good or self._maker(unit) not in (None, made_at)):
                raise Violation(6, "a byte was delivered that neither a link nor the master's KME has made")
            if not from_stream and unit in self._good and self._maker(unit) != made_at:
                raise Violation(2, "a byte of a stream was delivered as a record")
        self._use(key, f"key {key_id.hex()}")
        rest = key[len(units) * UNIT_BYTES :]
        if from_stream and rest:
            block, index = divmod(self._good[units[-1]], MAX_BLOCK_UNITS)
            offset = (index + 1) * UNIT_BYTES
            shared = self._blocks[block][offset : offset + UNIT_BYTES]
            if len(shared) == UNIT_BYTES:
                if shared[: len(rest)] != rest:
                    raise Violation(6, "a key ends in bytes that no link produced")
                self._use(shared, f"key {key_id.hex()}")

    def _trace_pad(self, ids: bytes, keys: bytes) -> None:
        """The master knows the keys that were carried, so we know the pads under which they went."""
        for message in self._carried.get(ids, {}).values():
            self._trace_one_pad(message, keys)

    def _trace_one_pad(self, message: Carry, keys: bytes) -> None:
        pad = xor(message.sealed, keys)
        self._use_pad(pad, f"pad {message.batch.hex()}")
        block, index = divmod(self._good[pad[:UNIT_BYTES]], MAX_BLOCK_UNITS)
        start = index * UNIT_BYTES - MAC_KEY_BYTES
        if start >= MAC_KEY_BYTES:  # otherwise some of the MAC key lies in another block
            self._use(self._blocks[block][start : start + MAC_KEY_BYTES], f"MAC {message.batch.hex()}")

    def _maker(self, unit: bytes) -> KmeId | None:
        """Who drew a good unit; None for one that a link produced."""
        return self._makers.get(self._good[unit] // MAX_BLOCK_UNITS)

    def _use_pad(self, pad: bytes, purpose: str) -> None:
        for unit in _units(pad):
            if unit not in self._good:
                raise Violation(6, "a pad does not come from good blocks")
        self._use(pad, purpose)

    def _use(self, data: bytes, purpose: str) -> None:
        for unit in _units(data):
            if self._uses.setdefault(unit, purpose) != purpose:
                raise Violation(2, f"a byte was used for {self._uses[unit]} and for {purpose}")


def _units(data: bytes) -> list[bytes]:
    """The whole units."""
    return [data[i : i + UNIT_BYTES] for i in range(0, len(data) - UNIT_BYTES + 1, UNIT_BYTES)]


def each_id(ids: bytes) -> list[bytes]:
    """IDs that stand one after the other."""
    return [ids[i : i + KEY_ID_BYTES] for i in range(0, len(ids), KEY_ID_BYTES)]


def _keys(ids: bytes, data: bytes, size: int) -> Iterator[tuple[bytes, bytes]]:
    for i, key_id in enumerate(each_id(ids)):
        yield key_id, data[size * i : size * (i + 1)]
