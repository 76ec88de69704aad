"""One network of relays, with faults and lying nodes drawn by a seed; what must hold whatever happens there."""

from collections.abc import Iterator
from random import Random

import msgspec

from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.records import record_ids
from keyhop.network.relay.messages import (
    Announce,
    BlockPayload,
    Contribution,
    Forward,
    OfRelay,
    PadPlace,
    RecordsPayload,
    Request,
)
from keyhop.network.relay.parcels import Parcel, Path, Plan
from keyhop.testing.relays import Lie, VirtualRelays, sae_of

A, B, C, D, E, F = (KmeId(name) for name in "ABCDEF")
LINKS = (("A", "B"), ("B", "D"), ("A", "C"), ("C", "D"), ("A", "E"), ("E", "F"), ("F", "D"), ("B", "C"))
WAYS: tuple[Path, ...] = ((A, B, D), (A, C, D), (A, E, F, D))
PLANS = (
    Plan("hop-by-hop", WAYS[:1]),
    Plan("hop-by-hop", WAYS[2:]),
    Plan("hop-by-hop", ((A, C, B, D),)),
    Plan("xor-at-destination", WAYS[:1]),
    Plan("xor-at-destination", WAYS[2:]),
    Plan("secret-shared", WAYS[1:], 2),
    Plan("secret-shared", WAYS, 3),
    Plan("secret-shared", WAYS, 2),
)


class Broken(Exception):
    """Something that must hold does not."""


def flipped(data: bytes, random: Random) -> bytes:
    """One bit of it is another one."""
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]


def altered(message: OfRelay, random: Random) -> OfRelay:
    """Something about it is another one, as only its sender can make it."""
    replace = msgspec.structs.replace
    match message:
        case Forward() | Announce() | Contribution() | PadPlace() | Request():
            fields = [field for field in message.__struct_fields__ if field not in ("payload", "strategy", "paths")]
            field = random.choice(fields)
            value = getattr(message, field)
            if isinstance(value, bytes):
                return replace(message, **{field: flipped(value, random)}) if value else message
            if isinstance(value, int):
                return replace(message, **{field: value ^ 1})
            if isinstance(value, tuple):
                names = list(value)
                names[random.randrange(len(names))] = random.choice("ABCDEFX")
                return replace(message, **{field: tuple(names)})
            return replace(message, **{field: random.choice("ABCDEFX")})
    return message


def liar(network: VirtualRelays, name: KmeId, random: Random) -> Lie:
    """A node that alters what it makes of a share, whose tag is right all the same: it has the key; that replays, sends
    to others, or says nothing."""
    said: list[tuple[KmeId, OfRelay]] = []

    def lie(target: KmeId, message: OfRelay) -> Iterator[tuple[KmeId, OfRelay]]:
        said.append((target, message))
        match random.randrange(7):
            case 0:
                yield target, altered(message, random)
            case 1:
                yield random.choice(network.names), message
                yield target, message
            case 2:
                yield random.choice(said)
                yield target, message
            case 3:
                yield target, network.retagged(name, target, altered(message, random))
            case 4:
                yield random.choice(said)[0], altered(random.choice(said)[1], random)
            case 5:
                yield target, message
            case _:
                return

    return lie


class World:
    """A drawn network, and what was sent in it."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.network = network = VirtualRelays(LINKS, seed, stock_bytes=1 << 17)
        self.sent: dict[bytes, tuple[KmeId, KmeId]] = {}
        self.ids: dict[bytes, tuple[KmeId, KmeId]] = {}
        self.outcomes: list[tuple[bytes, list[str | None]]] = []
        if random.random() < 0.7:
            network.loss = random.choice((0.02, 0.2))
            network.repeat = random.choice((0.02, 0.2))
            network.reorder = random.random() < 0.7
        if random.random() < 0.6:
            network.crash = random.choice((0.005, 0.05))
        if random.random() < 0.5:
            for name in random.sample([B, C, E, F], random.choice((1, 1, 2))):
                network.lies[name] = liar(network, name, Random(seed + 1))

    def run(self) -> int:
        """Sends parcels; returns how many arrived. Raises Broken."""
        for _ in range(6):
            self._send()
            if self.random.random() < 0.3:
                self.network.pass_time(1.0)
        self.network.pass_time(12.0)
        self._check()
        return sum(outcome == [None] for _, outcome in self.outcomes)

    def _send(self) -> None:
        data = self.random.randbytes(self.random.choice((64, 1000, 4096)))
        plan = self.random.choice(PLANS)
        ends = (A, D)
        if self.random.random() < 0.3:
            ends = (D, A)
            plan = Plan(plan.strategy, tuple(path[::-1] for path in plan.paths), plan.threshold)
        payload: BlockPayload | RecordsPayload = BlockPayload()
        if self.random.random() < 0.4:
            ids = record_ids(self.random.randbytes(32))
            self.ids[ids] = ends
            payload = RecordsPayload(sae_of(ends[0]), (sae_of(ends[1]),), ids)
        self.sent[data] = ends
        self.outcomes.append((data, self.network.send(ends[0], Parcel(ends[1], payload, KeyMaterial(data)), plan)))

    def _check(self) -> None:
        network, taken = self.network, self.network.delivered
        for source, destination, data in taken.blocks:
            if self.sent.get(data) != (source, destination):
                raise Broken("a block was taken that was not sent")
        if len({data for _, _, data in taken.blocks}) != len(taken.blocks):
            raise Broken("a block was taken twice")
        if not set(taken.own) <= set(taken.blocks):
            raise Broken("a source has a block that its destination never had")
        held = self._records()
        for data, outcome in self.outcomes:
            crashed = network.crash > 0.0  # a source that was started anew tells nobody
            if len(outcome) > 1 or (not outcome and not crashed):
                raise Broken("a parcel had no outcome, or two")
            if outcome == [None] and data not in held | {data for _, _, data in taken.blocks}:
                raise Broken("a parcel was called stored that is not there")
        if not held <= set(self.sent):
            raise Broken("a record was taken that was not sent")
        if not network.balanced():
            raise Broken("the books do not balance")

    def _records(self) -> set[bytes]:
        """What came as records, a parcel each: the keys that every SAE can fetch."""
        held: set[bytes] = set()
        for ids, ends in self.ids.items():
            records, slave = self.network.nodes[ends[1]].records, sae_of(ends[1])
            each = [ids[i : i + 16] for i in range(0, len(ids), 16)]
            if all(key_id in records and records.entitles(key_id, sae_of(ends[0]), slave) for key_id in each):
                held.add(b"".join(records.deliver(key_id, slave) for key_id in each))
        return held
