"""Records that come from another KME: which of them are kept, for whom, and which are here already.

A batch comes again as often as its answer is lost, and has the same answer. Another batch under IDs that are here is
opened, and has to bring the same keys: who handed them over may have forgotten that he did. Else it is refused, and the
sender hears that what is here is not his to take back.

Those for SAEs of another network are passed on (`exports`) and kept by nobody here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from keyhop.core.clock import Clock
from keyhop.core.ids import KEY_ID_BYTES, KmeId, SaeId, each_id
from keyhop.core.keys import KeyMaterial
from keyhop.core.origin import crossed, without_paths
from keyhop.core.record_ids import record_ids
from keyhop.core.records import RecordBook, RecordOrigin
from keyhop.network.exports import Exported, Exports, Passed
from keyhop.network.hybrid.combining import MAX_COMBINED_BYTES
from keyhop.network.hybrid.records import Masked, RecordSecret
from keyhop.network.hybrid.secret import Secret
from keyhop.network.relay.messages import RecordsPayload
from keyhop.network.wire import Carry
from keyhop.network.wire_types import words

NOT_THESE = "these are no records that may come"
OTHERS_ARE_HERE = "there are others under one of these IDs"


_ANSWERS: dict[Exported, str | None] = {"yes": None, "no": NOT_THESE, "others": OTHERS_ARE_HERE}


class KeptOthers(str):
    """Why a KME refused a batch, of which it keeps nothing: it has, or had, another key under one of its IDs."""

    __slots__ = ()


def refused_for(reason: str, told: str) -> str:
    """Of a refusal that came from another KME: what is told of it."""
    return KeptOthers(told) if reason == OTHERS_ARE_HERE else told


class Foreseen(NamedTuple):
    """An answer: None, or why not."""

    refusal: str | None


@dataclass(frozen=True, slots=True, repr=False)
class Opened:
    """The keys of a batch, one after the other, and the sources of the pads that they came under (`core.origin`), or
    how they were relayed."""

    keys: bytes
    sources: tuple[str, ...]


class Arrivals:
    """Puts into the record book what other KMEs may put there."""

    def __init__(
        self,
        me: KmeId,
        records: RecordBook,
        clock: Clock,
        home: Callable[[SaeId], KmeId | None],
        exports: Exports,
        expect: Callable[[KmeId], None] = lambda source: None,
        secret: Callable[[KmeId, bytes], Secret | None] = lambda source, check: None,
    ) -> None:
        """`home` tells which KME an SAE belongs to; of another network's SAE, the KME that leads there.

        `expect` hears that keys of a KME are soon fetched here; `secret` finds an ML-KEM secret by its KME and check.
        """
        self._me = me
        self._records = records
        self._clock = clock
        self._home = home
        self._exports = exports
        self._expect = expect
        self._secret = secret

    def take(
        self,
        source: KmeId,
        batch: Carry | RecordsPayload,
        size_bytes: int,
        keys: Callable[[], Opened | None],
        answer: Passed,
    ) -> None:
        """Answers, perhaps later, whether the slaves of a batch can have it. `keys` proves it, and opens it once."""
        if self._exports.concern(batch.slaves):
            self._pass_on(source, batch, size_bytes, keys, answer)
            return
        foreseen = self._foreseen_here(source, batch, size_bytes)
        if foreseen is not None:
            answer(foreseen.refusal)
            return
        opened = keys()
        answer(NOT_THESE if opened is None else self._stored(source, batch, self._made(source, batch, opened)))

    def foreseen(self, source: KmeId, batch: Carry | RecordsPayload, size_bytes: int) -> Foreseen | None:
        """The answer, if it is known before the batch can be opened."""
        if not self._exports.concern(batch.slaves):
            return self._foreseen_here(source, batch, size_bytes)
        match self._outcome(source, batch):
            case "new":
                return None if self._may_come(source, batch, size_bytes) else Foreseen(NOT_THESE)
            case "under way":
                return None
            case outcome:
                return Foreseen(_ANSWERS[outcome])

    def _foreseen_here(self, source: KmeId, batch: Carry | RecordsPayload, size_bytes: int) -> Foreseen | None:
        if self._holds(source, batch):
            return Foreseen(None)
        if not self._is_sound(source, batch, size_bytes):
            return Foreseen(NOT_THESE)
        ids = each_id(batch.ids)
        if any(map(self._records.knows, ids)):
            return None if all(key_id in self._records for key_id in ids) else Foreseen(OTHERS_ARE_HERE)
        return None if self._records.has_room(SaeId(batch.master), source, len(ids)) else Foreseen(NOT_THESE)

    def _stored(self, source: KmeId, batch: Carry | RecordsPayload, opened: Opened) -> str | None:
        """The answer to what is new, or is here from another batch."""
        ids, master = each_id(batch.ids), SaeId(batch.master)
        if ids[0] not in self._records:
            self._keep(source, batch, opened)
            self._expect(source)
            return None
        keys = KeyMaterial(opened.keys).each(len(ids))
        same = all(self._records.holds(key_id, master, key) for key_id, key in zip(ids, keys, strict=True))
        return None if same else OTHERS_ARE_HERE

    def _holds(self, source: KmeId, batch: Carry | RecordsPayload) -> bool:
        """Whether it comes again: its records are here, or were if slaves could know their IDs before the answer."""
        records, ids = self._records, each_id(batch.ids)
        here = bool(ids) and all(records.came_in(batch.batch, key_id, SaeId(batch.master)) for key_id in ids)
        return here and self._home(SaeId(batch.master)) == source

    def _keep(self, source: KmeId, batch: Carry | RecordsPayload, opened: Opened) -> None:
        """Stores what may come; durable with the journal."""
        ids = each_id(batch.ids)
        slaves = tuple(SaeId(slave) for slave in batch.slaves)
        origin = self._origin(source, batch, opened.sources)
        for key_id, key in zip(ids, KeyMaterial(opened.keys).each(len(ids)), strict=True):
            self._records.add(key_id, key, slaves, origin)

    def _origin(self, source: KmeId, batch: Carry | RecordsPayload, sources: tuple[str, ...]) -> RecordOrigin:
        """Of records that come now."""
        paths, ways = crossed(sources, (source, self._me)), tuple(dict.fromkeys(map(without_paths, sources)))
        now = self._clock.wall()  # by the clock that they will be too old by
        expanded = isinstance(batch, Carry) and batch.number > 0
        combiner = batch.combined.combiner if batch.combined else None
        return RecordOrigin(SaeId(batch.master), batch.made_by, now, batch.batch, paths, expanded, combiner, ways)

    def _made(self, source: KmeId, batch: Carry | RecordsPayload, opened: Opened) -> Opened:
        """The keys, of what has come of them."""
        if batch.combined is None:
            return opened
        agreed = self._secret(source, batch.combined.check)
        assert agreed is not None  # else it may not come
        secret = RecordSecret.unmasked(batch.combined, agreed, batch.batch)
        return Opened(secret.keys(SaeId(batch.master), batch.ids, opened.keys), opened.sources)

    def _pass_on(
        self,
        source: KmeId,
        batch: Carry | RecordsPayload,
        size_bytes: int,
        keys: Callable[[], Opened | None],
        answer: Passed,
    ) -> None:
        master, outcome = SaeId(batch.master), self._outcome(source, batch)

        def passed(failure: str | None) -> None:
            answer(None if failure is None else words(failure))

        if outcome == "under way":
            self._exports.join(master, batch.batch, passed)
            return
        opened = keys() if outcome == "new" and self._may_come(source, batch, size_bytes) else None
        if opened is None:
            answer(NOT_THESE if outcome == "new" else _ANSWERS[outcome])
            return
        slaves = tuple(map(SaeId, batch.slaves))
        origin = self._origin(source, batch, opened.sources)
        self._exports.export(slaves, batch.ids, KeyMaterial(opened.keys), origin, passed)

    def _outcome(self, source: KmeId, batch: Carry | RecordsPayload) -> Exported:
        master = SaeId(batch.master)
        if self._home(master) != source:
            return "no"
        return self._exports.outcome(master, batch.slaves, batch.ids, batch.batch)

    def _may_come(self, source: KmeId, batch: Carry | RecordsPayload, size_bytes: int) -> bool:
        """Whether these are new records that may be passed on."""
        master, ids = SaeId(batch.master), each_id(batch.ids)
        known = any(self._records.knows(self._exports.kept_as(master, key_id)) for key_id in ids)
        has_room = self._records.has_room(master, source, len(ids))
        return self._is_sound(source, batch, size_bytes) and not known and has_room

    def _is_sound(self, source: KmeId, batch: Carry | RecordsPayload, size_bytes: int) -> bool:
        """Whether these are records, with keys of `size_bytes` in all, which that KME may send for our SAEs.

        What is passed on may have any ID: others have chosen it, and it is kept under another one.
        """
        count, rest = divmod(len(batch.ids), KEY_ID_BYTES)
        exported = self._exports.concern(batch.slaves)
        return (
            count > 0
            and rest == 0
            and (exported or record_ids(batch.ids) == batch.ids)  # else they could be the IDs of a stream's keys
            and len(set(each_id(batch.ids))) == count
            and size_bytes > 0
            and size_bytes % count == 0
            and self._home(SaeId(batch.master)) == source
            and all(self._home(SaeId(slave)) == self._me for slave in batch.slaves)
            and len(set(batch.slaves)) == len(batch.slaves)
            and (batch.combined is None or self._may_be_combined(source, batch, batch.combined, size_bytes // count))
        )

    def _may_be_combined(self, source: KmeId, batch: Carry | RecordsPayload, combined: Masked, key_bytes: int) -> bool:
        """Whether its secret is here; what goes to other domains is not combined."""
        known = self._secret(source, combined.check) is not None
        return known and key_bytes <= MAX_COMBINED_BYTES and not self._exports.concern(batch.slaves)
