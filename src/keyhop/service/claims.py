"""dec_keys: the keys that a slave may have once, all of those it asks for or none.

An ID names a record, or a place in the stream from the master's KME. It is *unauthorised* when it names bytes that
are there for somebody else, and *not found* in every other case, delivered and void ones included.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from keyhop.core.errors import BadRequest, KeyhopError, Unauthorised, Unavailable
from keyhop.core.ids import KmeId, key_id_text
from keyhop.core.journal import Journal
from keyhop.core.key_id import Located
from keyhop.core.keys import KeyMaterial
from keyhop.core.records import RecordBook
from keyhop.core.streams import FollowedStream, Place
from keyhop.core.units import UNIT_BYTES, units_for
from keyhop.network.pair import Pair
from keyhop.service.requests import GetKeyWithIds, KeyReply, KeyRun, Keys

_NOT_FOUND = "one or more keys specified are not found on KME"


@dataclass(frozen=True, slots=True)
class _InStream:
    """`count` keys, one after the other in the stream."""

    place: Place
    count: int


class Claims:
    """Answers get_key_with_ids."""

    def __init__(self, pairs: Mapping[KmeId, Pair], records: RecordBook, journal: Journal) -> None:
        self._pairs = pairs
        self._records = records
        self._journal = journal

    def get_key_with_ids(self, request: GetKeyWithIds, source: KmeId, reply: KeyReply) -> None:
        """`source` is the master's KME. Raises Unavailable; otherwise replies."""
        gate = self._pairs.get(source) or next(iter(self._pairs.values()), None)
        if gate is not None and not gate.windows.ready:
            raise Unavailable(f"not yet synchronised with KME {gate.peer}", retry_after_s=1.0)

        def deliver() -> None:
            try:
                keys = self._claim(request, self._pairs.get(source))
                self._journal.then(lambda: reply(keys), reply)
            except KeyhopError as error:
                reply(error)

        if gate is None:
            deliver()
            return
        late = Unavailable(f"KME {gate.peer} does not answer", retry_after_s=1.0)
        gate.windows.enter(deliver, lambda: reply(late))

    def _claim(self, request: GetKeyWithIds, pair: Pair | None) -> Keys:
        stream = pair.followed if pair else None
        found = self._find(request, stream)
        runs: list[KeyRun] = []
        at = 0
        for claim in found:
            if isinstance(claim, _InStream):
                assert stream is not None  # it was found there
                count = claim.count
                size, data = claim.place.located.size_bytes, _consume(stream, claim)
            else:
                count, size = 1, self._records.size_bytes(claim)
                data = self._records.deliver(claim, request.slave)
            runs.append(KeyRun(b"".join(request.key_ids[at : at + count]), size, KeyMaterial(data)))
            at += count
        return Keys(tuple(runs))

    def _find(self, request: GetKeyWithIds, stream: FollowedStream | None) -> list[_InStream | bytes]:
        """What each ID names, in their order; changes nothing. Raises RequestError."""
        found: list[_InStream | bytes] = []
        missing: list[bytes] = []
        ids, at = request.key_ids, 0
        while at < len(ids):
            claim = self._find_one(request, ids[at], stream)
            if claim is None:
                missing.append(ids[at])
                at += 1
            elif isinstance(claim, Place):
                assert stream is not None  # it was found there
                count = _run_length(request, claim, stream, at)
                found.append(_InStream(claim, count))
                at += count
            else:
                found.append(claim)
                at += 1
        if missing:
            raise BadRequest(_NOT_FOUND, details=tuple({"key_ID": key_id_text(key_id)} for key_id in missing))
        if _overlap([claim for claim in found if isinstance(claim, _InStream)]):
            raise BadRequest(_NOT_FOUND)
        return found

    def _find_one(self, request: GetKeyWithIds, key_id: bytes, stream: FollowedStream | None) -> Place | bytes | None:
        if key_id in self._records:
            if self._records.was_delivered(key_id, request.master, request.slave):
                return None
            if not self._records.entitles(key_id, request.master, request.slave):
                raise Unauthorised("this SAE was not among those that the key was requested for")
            return key_id
        if stream is None:
            return None
        place = stream.find(key_id, request.master, request.slave)
        if place is not None:
            return place if stream.has(place) else None
        if stream.is_someone_elses(key_id):
            raise Unauthorised("this SAE was not among those that the key was requested for")
        return None


def _overlap(claims: list[_InStream]) -> bool:
    """Whether two of them share bytes: only a KME that breaks the protocol makes such IDs."""
    spans = sorted(
        (claim.place.epoch, located.position, located.position + units_for(located.size_bytes) * claim.count)
        for claim in claims
        for located in (claim.place.located,)
    )
    return any(a[0] == b[0] and b[1] < a[2] for a, b in pairwise(spans))


def _run_length(request: GetKeyWithIds, first: Place, stream: FollowedStream, at: int) -> int:
    """How many IDs from `at` on name keys that follow `first` without a gap, found by doubling."""
    located, length = first.located, 1
    units = units_for(located.size_bytes)
    pair = stream.key_ids(first.epoch).pair(request.master, request.slave)
    while at + 2 * length <= len(request.key_ids):
        end = located.position + units * 2 * length
        expected = pair.seal(located.position, located.size_bytes, 2 * length)
        whole = Place(first.epoch, Located(located.position, (end - located.position) * UNIT_BYTES))
        if expected != b"".join(request.key_ids[at : at + 2 * length]) or not stream.has(whole):
            break
        length *= 2
    return length


def _consume(stream: FollowedStream, claim: _InStream) -> bytes:
    """The bytes of all keys of a run, without what each leaves of its last unit."""
    located = claim.place.located
    size, width = located.size_bytes, units_for(located.size_bytes) * UNIT_BYTES
    if claim.count == 1 or size == width:
        whole = Place(claim.place.epoch, Located(located.position, size * claim.count))
        return stream.consume(whole, "delivered")[0]
    step = width // UNIT_BYTES
    places = (Place(claim.place.epoch, Located(located.position + step * i, size)) for i in range(claim.count))
    return b"".join(stream.consume(place, "delivered")[0] for place in places)
