"""What the IDs of a dec_keys request name. Looking changes nothing, so that a request gets all of its keys or none.

An ID names a record, or a place in a stream from the master's KME. It is *unauthorised* when it names bytes that
are there for somebody else, and *not found* in every other case, delivered and void ones included.
"""

from collections.abc import Callable, Collection
from itertools import pairwise
from typing import NamedTuple

from keyhop.core.errors import BadRequest, Unauthorised
from keyhop.core.ids import KEY_ID_BYTES, key_id_text
from keyhop.core.record_ids import chosen_record_id, is_chosen
from keyhop.core.records import RecordBook
from keyhop.core.streams import FollowedStream, Place, Uses, plain
from keyhop.core.units import units_for
from keyhop.service.redelivery import Redelivery
from keyhop.service.requests import GetKeyWithIds

NOT_FOUND = "one or more keys specified are not found on KME"
_GROWTH = 8


class InStream(NamedTuple):
    """`number` keys, one after the other in the stream from the first one's place."""

    stream: FollowedStream
    place: Place
    number: int

    def is_there(self) -> bool:
        """Whether all of it can be given out, as the first of them can."""
        return self.number == 1 or self.stream.has(self.place, self.number)


class InRecord(NamedTuple):
    """A key that is a record, and under which ID it is one."""

    record_id: bytes
    number: int = 1


class SentBefore(NamedTuple):
    """A key that this slave was sent a moment ago and may be sent once more."""

    key_id: bytes
    number: int = 1


type Found = InStream | InRecord | SentBefore

type StreamUses = Callable[[FollowedStream], Uses]
"""To what keys of a stream may be bound."""


def _unbound(stream: FollowedStream) -> Uses:
    return plain


class Lookup:
    """Looks for keys in the streams that a slave's KME follows, in its records, and among what it has just sent."""

    def __init__(
        self,
        streams: Collection[FollowedStream],
        records: RecordBook,
        redelivery: Redelivery,
        check_records: Callable[[], None],
        *,
        foreign: bool = False,
    ) -> None:
        """`check_records` raises Unavailable while no record may be delivered; `foreign`: of other domains' masters."""
        self._foreign = foreign
        self._streams = streams
        self._check_records = check_records
        self._records = records
        self._redelivery = redelivery

    def find(self, request: GetKeyWithIds, uses: StreamUses = _unbound) -> list[Found]:
        """What the IDs name, in their order; `uses` says to what they may be bound.

        Raises RequestError and Unavailable.
        """
        run = self._find_run(request, 0, uses)
        if run is not None and run.number == request.count and run.is_there():
            return [run]
        found = self._find_pieces(request, run, uses)
        if len(found) > 1 and (_overlap(found) or _twice(found)):
            raise BadRequest(NOT_FOUND)
        return found

    def _find_pieces(self, request: GetKeyWithIds, run: InStream | None, uses: StreamUses) -> list[Found]:
        """`run` is what the IDs begin with."""
        ids, at = request.key_ids, 0
        if len(set(ids)) != len(ids):
            raise BadRequest("the same key_ID is given twice")
        found: list[Found] = []
        missing: list[bytes] = []
        while at < len(ids):
            number = run.number if run else 1
            if run is not None and run.is_there():
                found.append(run)
            else:
                for key_id in ids[at : at + number]:
                    one = self._find_one(request, key_id, uses)
                    missing.append(key_id) if one is None else found.append(one)
            at += number
            run = self._find_run(request, at, uses) if at < len(ids) else None
        if missing:
            raise BadRequest(NOT_FOUND, details=tuple({"key_ID": key_id_text(key_id)} for key_id in missing))
        return found

    def _find_run(self, request: GetKeyWithIds, at: int, uses: StreamUses) -> InStream | None:
        """The place in a stream that the ID at this index names, and the following IDs that go on from there."""
        key_id = request.ids[KEY_ID_BYTES * at : KEY_ID_BYTES * (at + 1)]
        for stream in self._streams:
            place = stream.find(key_id, request.master, request.slave, uses(stream))
            if place is not None:
                return InStream(stream, place, _run_length(request, at, place, stream))
        return None

    def _find_one(self, request: GetKeyWithIds, key_id: bytes, uses: StreamUses) -> Found | None:
        chosen = self._foreign or is_chosen(key_id)
        record_id = chosen_record_id(request.master, key_id) if chosen else key_id
        if record_id in self._records:
            return self._find_record(request, key_id, record_id)
        elsewhere = False
        for stream in self._streams:
            place = stream.find(key_id, request.master, request.slave, uses(stream))
            if place is not None:
                return InStream(stream, place, 1)
            elsewhere = elsewhere or stream.is_someone_elses(key_id)
        if self._redelivery.holds(request.master, request.slave, key_id):
            return SentBefore(key_id)
        if elsewhere:
            raise _unauthorised()
        return None

    def _find_record(self, request: GetKeyWithIds, key_id: bytes, record_id: bytes) -> Found | None:
        if self._records.is_over(record_id, request.master, request.slave):
            return SentBefore(key_id) if self._redelivery.holds(request.master, request.slave, key_id) else None
        if not self._records.entitles(record_id, request.master, request.slave):
            raise _unauthorised()
        self._check_records()
        return InRecord(record_id)


def _unauthorised() -> Unauthorised:
    return Unauthorised("this SAE was not among those that the key was requested for")


def _twice(found: list[Found]) -> bool:
    """Whether they name a record twice: by the ID that its master has chosen, and by the one that it is kept under."""
    records = [each.record_id for each in found if isinstance(each, InRecord)]
    return len(set(records)) != len(records)


def _overlap(found: list[Found]) -> bool:
    """Whether two of them share bytes of a stream: only a KME that breaks the protocol makes such IDs."""
    spans = sorted(
        (
            run.stream.ref.route,
            run.place.epoch,
            located.position,
            located.position + units_for(located.size_bytes) * run.number,
        )
        for run in found
        if isinstance(run, InStream)
        for located in (run.place.located,)
    )
    return any(a[:2] == b[:2] and b[2] < a[3] for a, b in pairwise(spans))


def _run_length(request: GetKeyWithIds, at: int, first: Place, stream: FollowedStream) -> int:
    """How many IDs from `at` on name keys that follow `first` without a gap; looks ahead further and further."""
    count, size = request.count - at, first.located.size_bytes
    length = ahead = 1
    while length < count:
        shown = request.ids[KEY_ID_BYTES * (at + length) : KEY_ID_BYTES * (at + length + ahead)]
        position = first.located.position + units_for(size) * length
        pair = stream.key_ids(first.epoch).pair(request.master, request.slave, first.use)
        expected = pair.seal(position, size, len(shown) // KEY_ID_BYTES)
        if shown != expected:
            return length + _common_ids(shown, expected)
        length += len(shown) // KEY_ID_BYTES
        ahead *= _GROWTH
    return length


def _common_ids(one: bytes, other: bytes) -> int:
    """How many IDs the two begin with in common; they are equally long."""
    difference = int.from_bytes(one) ^ int.from_bytes(other)
    return (8 * len(one) - difference.bit_length()) // (8 * KEY_ID_BYTES)
