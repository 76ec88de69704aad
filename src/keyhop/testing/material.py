"""Where key bytes come from and what becomes of them: what links produced and KMEs drew, and the one use of each unit.

A unit is a key's, or the pad's of one message, or of its tag. What a KME sent under pads is seen on the wires; the keys
that are known later tell the pads.
"""

from collections import defaultdict, deque

from keyhop.core.ids import KmeId, each_id
from keyhop.core.streams import StreamRef
from keyhop.core.units import UNIT_BYTES
from keyhop.core.xor import xor
from keyhop.network.expanding.pads import SEED_BYTES
from keyhop.network.psk.generations import FRESH_BYTES
from keyhop.network.psk.messages import InStream, PskProposed
from keyhop.network.relay.messages import SECRET_HEAD_BYTES, Announce, Forward, PadPlace, RecordsPayload
from keyhop.network.wire import Body, Carry
from keyhop.testing.violation import Violation

MAC_KEY_BYTES = 32
STREAM_ID_VERSION = 8
MAX_BLOCK_UNITS = 1 << 24
LEAST_RELAYED_BYTES = 136
"""So much of random at least is in a block that is relayed."""
LATELY = 256
"""What a KME drew last is looked through for what it relays."""


class Material:
    """Of one network. Every method that is told something raises `Violation`."""

    def __init__(self) -> None:
        self._good: dict[bytes, int] = {}
        self._blocks: list[bytes] = []
        self._makers: dict[int, KmeId] = {}
        """Of blocks that no link produced."""
        self._drawn: defaultdict[tuple[KmeId, int], deque[bytes]] = defaultdict(lambda: deque(maxlen=LATELY))
        """What a KME drew, by its size."""
        self._announced: dict[bytes, Announce] = {}
        self._tokens: set[bytes] = set()
        """The units of all that KMEs drew, however little."""
        self._bad: set[bytes] = set()
        self._uses: dict[bytes, str] = {}
        self._carried: dict[bytes, dict[bytes, Carry]] = {}
        self._places: dict[tuple[StreamRef, int, int], bytes] = {}
        self._numbers: dict[tuple[StreamRef, int, int, int], bytes] = {}
        """Of pads that were expanded from the seed at a place."""

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
        self._tokens.update(_units(data))
        if len(data) >= LEAST_RELAYED_BYTES:
            self._makers[len(self._blocks)] = kme
            self._note_block(data)
            self._drawn[kme, len(data)].append(data)

    def brings(self, kme: KmeId, keys: bytes) -> None:
        """A master of that KME brings keys, which the KME may relay as they are."""
        self._drawn[kme, len(keys)].append(keys)

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
            case PskProposed(place=InStream(epoch, position)):
                self._occupy(stream, epoch, position, FRESH_BYTES // UNIT_BYTES, message.check)

    def given(self, stream: StreamRef, epoch: int, start: int, units: int, key_id: bytes) -> None:
        """A master got these units of a stream, from the key with this ID on."""
        self._occupy(stream, epoch, start, units, key_id)

    def begins_anew(self, kme: KmeId) -> None:
        """A KME knows nothing of its streams any more: epochs of other bytes may have numbers that were used before."""
        self._places = {place: use for place, use in self._places.items() if kme not in place[0][:2]}
        self._numbers = {number: use for number, use in self._numbers.items() if kme not in number[0][:2]}

    def _note_block(self, data: bytes) -> None:
        first = len(self._blocks) * MAX_BLOCK_UNITS
        self._good.update(zip(_units(data), range(first, first + MAX_BLOCK_UNITS)))  # noqa: B905 - as many as there are
        self._blocks.append(data)

    def _pad(self, stream: StreamRef, message: Carry | Forward | PadPlace, size_bytes: int) -> None:
        """Each unit may pad one message only; or be of a seed, each number of which may."""
        if isinstance(message, Carry) and message.number:
            self._occupy(stream, message.epoch, message.pad, SEED_BYTES // UNIT_BYTES, b"seed")
            number = (stream, message.epoch, message.pad, message.number)
            if self._numbers.setdefault(number, message.tag) != message.tag:
                raise Violation(2, f"a number of a seed of {stream} was used twice")
            return
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
        if announce is None or announce.size < LEAST_RELAYED_BYTES or _hides_a_masters_keys(announce):
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

    def trace(self, key_id: bytes, key: bytes, made_at: KmeId) -> None:
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

    def combined(self, key: bytes) -> None:
        """A key needs an ML-KEM secret too: it is nothing that a link produced, or a KME drew, as it is."""
        if any(unit in self._good or unit in self._tokens for unit in _units(key)):
            raise Violation(0, "a key that needs an ML-KEM secret is what it would be without")

    def carried_ids(self) -> set[bytes]:
        """Of all records that one KME sent to another."""
        return {key_id for ids in self._carried for key_id in each_id(ids)}

    def brought(self, key_id: bytes, key: bytes) -> None:
        """A master brings a key of its own."""
        self._use(key, f"key {key_id.hex()}")

    def trace_pad(self, ids: bytes, keys: bytes, *, expanded: bool = False) -> None:
        """The master knows the keys that were carried, so we know the pads under which they went; it is told when these
        were `expanded` from a seed. What is combined with a secret is carried as parts that nobody is told."""
        for message in self._carried.get(ids, {}).values():
            if expanded != (message.number > 0):
                raise Violation(0, f"expanded pads: {message.number > 0}, but the master is told: {expanded}")
            if message.combined is None:
                self._trace_one_pad(message, keys)

    def _trace_one_pad(self, message: Carry, keys: bytes) -> None:
        pad = xor(message.sealed, keys)
        if message.number:
            self._use(pad, f"pad {message.batch.hex()}")
            return
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


def _hides_a_masters_keys(announce: Announce) -> bool:
    """What is relayed is parts of keys that a master has brought."""
    payload = announce.payload
    return isinstance(payload, RecordsPayload) and payload.combined is not None and payload.made_by == "sae"


def _units(data: bytes) -> list[bytes]:
    """The whole units."""
    return [data[i : i + UNIT_BYTES] for i in range(0, len(data) - UNIT_BYTES + 1, UNIT_BYTES)]
