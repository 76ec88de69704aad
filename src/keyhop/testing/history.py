"""Checks the promises against what was seen from outside.

The checker knows what link devices produced and what KMEs drew at random, what went over the wire (`material`), and
what SAEs asked for, brought, voided and got. It knows nothing of streams, epochs or leases. The promises have the
numbers of docs/reference/promises.md; of the last one, the audit record, others know.

What is not promised: a KME restored from a backup may give out again what it gave out, or voided, since its peer last
knew it to be well (`excuse`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from keyhop.core.combiners import KDF, XOR
from keyhop.core.ids import KmeId, SaeId, each_id
from keyhop.core.record_ids import chosen_record_id, is_chosen
from keyhop.service.requests import GetKey, GetKeyWithIds, InsertedKeys, InsertKeys, Keys, VoidedKeys, VoidKeys
from keyhop.testing.handed_over import HandedOver
from keyhop.testing.material import Material
from keyhop.testing.violation import Violation


class Held(NamedTuple):
    """A key that a KME holds, and the bytes that it is made of: its own, unless an ML-KEM secret comes to them."""

    key: bytes
    part: bytes


type Holds = Callable[[bytes, SaeId, SaeId], Held | None]
"""What the slave's KME holds durably for (key ID, master, slave)."""


@dataclass(slots=True)
class Seen:
    """A key that a master got, or has brought; `voided` are slaves that shall not get it any more, and since when."""

    key_id: bytes
    master: SaeId
    slaves: tuple[SaeId, ...]
    key: bytes
    got_at: float
    fetched: dict[SaeId, float] = field(default_factory=dict)
    excused: set[SaeId] = field(default_factory=set)
    again: set[SaeId] = field(default_factory=set)
    voided: dict[SaeId, float] = field(default_factory=dict)

    @property
    def name(self) -> bytes:
        """What tells it from all others."""
        return record_name(self.master, self.key_id)


class History:
    """What was seen of a network so far. Every method that is told something raises `Violation`.

    `redelivery_s` is the re-delivery window of its KMEs; `home` tells the KME of each SAE.
    """

    def __init__(self, redelivery_s: float, home: Mapping[SaeId, KmeId]) -> None:
        self._redelivery_s = redelivery_s
        self._home = home
        self.material = Material()
        self.handed_over = HandedOver(self.material)
        self.keys: dict[bytes, Seen] = {}
        """By `record_name`."""
        self._offered: dict[bytes, Seen] = {}
        """Under IDs of their masters' own, of which no KME has said yet that it has them."""
        self._altered: set[bytes] = set()

    def altered(self, ids: bytes) -> None:
        """Somebody put an altered message on the wire, about the records with these IDs."""
        self._altered.update(each_id(ids))

    @property
    def altered_ids(self) -> list[bytes]:
        """IDs that only altered messages name."""
        return sorted(self._altered - self.material.carried_ids())

    def master_got(self, request: GetKey, keys: Keys, at: float, holds: Holds | None) -> None:
        """An enc_keys request was answered; `holds` is None when the slave's KME is under repair."""
        slaves = (request.slave, *request.additional_slaves)
        if sum(run.count for run in keys.runs) != (request.number or 1):
            raise Violation(0, "the answer has not as many keys as were asked for")
        for run in keys.runs:
            for key_id, key in _keys(run.ids, run.material.reveal(), run.size_bytes):
                self._given(Seen(key_id, request.master, slaves, key, at), at)
                part: bytes | None = key
                held = self._check_held(self.keys[key_id], holds)
                if run.mark in (XOR, KDF):
                    self.material.combined(key)
                    part = held.part if held else None
                if part is not None:
                    self.material.trace(key_id, part, self._home[request.master])
            self.material.trace_pad(run.ids, run.material.reveal(), expanded=run.mark == "expanded")

    def offers(self, request: InsertKeys) -> None:
        """A master brings keys. If it has chosen their IDs, its slaves may have them before it hears of that."""
        self.material.brings(self._home[request.master], request.keys.reveal())
        if request.ids:
            for seen in _brought(request, request.ids):
                self._offered[seen.name] = seen

    def brought(self, request: InsertKeys, answer: InsertedKeys, at: float, holds: Holds | None) -> None:
        """An insert was answered."""
        if len(answer.ids) != 16 * request.count or request.ids not in (b"", answer.ids):
            raise Violation(0, "the answer does not name the keys that were brought")
        for new in _brought(request, answer.ids):
            seen = self._offered.pop(new.name, new)
            self._given(seen, at)
            self.material.brought(seen.key_id, seen.key)
            self._check_held(seen, holds)
        names = b"".join(record_name(request.master, key_id) for key_id in each_id(answer.ids))
        self.material.trace_pad(names, request.keys.reveal())

    def voided(self, request: VoidKeys, answer: VoidedKeys, at: float) -> None:
        """A void was answered: of what it says is void, no slave was given anything, and none will be."""
        ids, slaves = each_id(request.ids), (request.slave, *request.additional_slaves)
        if answer.ids != request.ids or len(answer.voided) != len(ids):
            raise Violation(0, "the answer does not name the keys that were to be voided")
        for key_id in (key_id for key_id, is_void in zip(ids, answer.voided, strict=True) if is_void):
            seen = self._seen(request.master, key_id)
            if seen is None or seen.master != request.master or not set(slaves) <= set(seen.slaves):
                raise Violation(0, f"{request.master} voids what is no key of its own for these slaves")
            for slave in slaves:
                if slave in seen.fetched and slave not in seen.excused:
                    raise Violation(3, f"a key is void that {slave} has got")
                seen.voided[slave] = at

    def slave_got(self, request: GetKeyWithIds, keys: Keys, asked_at: float, at: float) -> None:
        """A dec_keys request was answered. What it waited for is no part of a re-delivery window."""
        got = [pair for run in keys.runs for pair in _keys(run.ids, run.material.reveal(), run.size_bytes)]
        if tuple(key_id for key_id, _ in got) != request.key_ids:
            raise Violation(0, "the answer is not what was asked for")
        for key_id, key in got:
            self._fetched(request, key_id, key, asked_at, at)

    def excuse(self, at_home: Callable[[SaeId], bool], since: float) -> None:
        """A KME was restored to a copy: its SAEs may get again what they got, or what was voided for them, since
        then."""
        for seen in (*self.keys.values(), *self._offered.values()):
            seen.excused.update(slave for slave, at in seen.fetched.items() if at >= since and at_home(slave))
            seen.voided = {slave: at for slave, at in seen.voided.items() if at < since or not at_home(slave)}

    def _seen(self, master: SaeId, key_id: bytes) -> Seen | None:
        name = record_name(master, key_id)
        return self.keys.get(name) or self._offered.get(name)

    def _given(self, seen: Seen, at: float) -> None:
        name = seen.name
        if name in self.keys:
            raise Violation(2, "an ID was given out twice")
        seen.got_at = at
        self.keys[name] = seen

    def _check_held(self, seen: Seen, holds: Holds | None) -> Held | None:
        """Returns what one of the slaves' KMEs holds, if any has to."""
        held = None
        if holds is None:
            return None
        for slave in (slave for slave in seen.slaves if slave not in {*seen.fetched, *seen.voided}):
            held = holds(seen.key_id, seen.master, slave)
            if held is None:
                raise Violation(5, f"the KME of {slave} does not hold the key")
            if held.key != seen.key:
                altered = seen.name in self._altered
                raise Violation(6 if altered else 1, f"the KME of {slave} holds another key")
        return held

    def _fetched(self, request: GetKeyWithIds, key_id: bytes, key: bytes, asked_at: float, at: float) -> None:
        seen, slave = self._seen(request.master, key_id), request.slave
        if seen is None:
            altered = record_name(request.master, key_id) in self._altered
            raise Violation(6 if altered else 4, "a key that no master was given")
        if (request.master, slave) not in {(seen.master, entitled) for entitled in seen.slaves}:
            raise Violation(4, f"{slave} got a key of {seen.master} for {seen.slaves}")
        if key != seen.key:
            raise Violation(1, "the two ends of an ID got different bytes")
        if slave in seen.voided:
            raise Violation(3, f"{slave} got a key that was void")
        if slave not in seen.fetched or slave in seen.excused:
            seen.excused.discard(slave)
            seen.again.discard(slave)
            seen.fetched[slave] = at
        elif not self._redelivery_s or slave in seen.again or asked_at - seen.fetched[slave] > self._redelivery_s:
            raise Violation(3, f"{slave} got a key twice")
        else:
            seen.again.add(slave)


def record_name(master: SaeId, key_id: bytes) -> bytes:
    """What tells a key from all others: masters may choose the same IDs, each for itself."""
    return chosen_record_id(master, key_id) if is_chosen(key_id) else key_id


def _brought(request: InsertKeys, ids: bytes) -> list[Seen]:
    slaves = (request.slave, *request.additional_slaves)
    pairs = _keys(ids, request.keys.reveal(), request.size_bytes)
    return [Seen(key_id, request.master, slaves, key, 0.0) for key_id, key in pairs]


def _keys(ids: bytes, data: bytes, size: int) -> Iterator[tuple[bytes, bytes]]:
    for i, key_id in enumerate(each_id(ids)):
        yield key_id, data[size * i : size * (i + 1)]
