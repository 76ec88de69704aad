"""One network of relays, with faults and lying nodes drawn by a seed; what must hold whatever happens there."""

from collections.abc import Iterator, Sized
from random import Random

import msgspec

from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.origin import Path
from keyhop.core.record_ids import record_ids
from keyhop.network.relay.messages import (
    Announce,
    BlockPayload,
    Contribution,
    Forward,
    OfRelay,
    PadPlace,
    RecordsPayload,
    Refused,
    Request,
    Stored,
    Stuck,
)
from keyhop.network.relay.parcels import Parcel, Plan
from keyhop.testing.relays import VirtualRelays, sae_of

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
    *[Plan("secret-shared", WAYS, 2)] * 3,
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


def with_another_share(message: OfRelay, random: Random) -> OfRelay:
    """The share in it is another one."""
    if not isinstance(message, Forward):
        return message
    return msgspec.structs.replace(message, sealed=flipped(message.sealed, random))


class Liar:
    """A node that has the keys of its own messages: it alters what it makes of a share, with a tag that is right all
    the same; it replays, sends to others, answers for others, or says nothing."""

    def __init__(self, network: VirtualRelays, name: KmeId, random: Random) -> None:
        self._network = network
        self._name = name
        self._random = random
        self._silent = random.random() < 0.2
        self._said: list[tuple[KmeId, OfRelay]] = []

    def __call__(self, target: KmeId, message: OfRelay) -> Iterator[tuple[KmeId, OfRelay]]:
        self._said.append((target, message))
        if self._silent:
            return
        random, retagged = self._random, self._network.watch.retagged
        match random.randrange(7):
            case 0:
                yield random.choice(self._network.names), message
                yield target, message
            case 1:
                yield random.choice(self._said)
                yield target, message
            case 2:
                yield target, retagged(self._name, target, altered(message, random))
            case 3:
                yield target, retagged(self._name, target, with_another_share(message, random))
            case 4:
                yield random.choice(self._said)[0], altered(random.choice(self._said)[1], random)
            case 5:
                yield from self._answers(message)
                yield target, message
            case _:
                yield target, message

    def _answers(self, message: OfRelay) -> Iterator[tuple[KmeId, OfRelay]]:
        """What only others may say of a parcel."""
        if not isinstance(message, Forward | PadPlace | Contribution):
            return
        random, parcel = self._random, message.parcel
        for source in (A, D):
            yield source, random.choice((Stored(parcel), Refused(parcel, "a lie")))
            for share in range(3):
                yield source, Stuck(parcel, share, random.choice(self._network.names), "a lie")


class World:
    """A drawn network, and what was sent in it."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.network = network = VirtualRelays(LINKS, seed, stock_bytes=1 << 17)
        self.sent: dict[bytes, tuple[KmeId, KmeId]] = {}
        self.ids: dict[bytes, tuple[KmeId, KmeId]] = {}
        self.plans: list[Plan] = []
        self.outcomes: list[tuple[bytes, list[str | None]]] = []
        if random.random() < 0.7:
            network.loss = random.choice((0.02, 0.2))
            network.repeat = random.choice((0.02, 0.2))
            network.reorder = random.random() < 0.7
        if random.random() < 0.6:
            network.crash = random.choice((0.005, 0.05))
        if random.random() < 0.5:
            for name in random.sample([B, C, E, F], random.choice((1, 1, 2))):
                network.lies[name] = Liar(network, name, Random(seed + 1))

    def run(self) -> int:
        """Sends parcels; returns how many arrived. Raises Broken."""
        for _ in range(6):
            self._send()
            if self.random.random() < 0.3:
                self.network.pass_time(1.0)
        self.network.pass_time(12.0)
        self._check()
        self.network.crash = 0.0
        self.network.pass_time(70.0)
        self._check_memory()
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
            payload = RecordsPayload(bytes(16), "kme", sae_of(ends[0]), (sae_of(ends[1]),), ids)
        self.sent[data] = ends
        self.plans.append(plan)
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
        if not all(node.balanced() for node in network.nodes.values()):
            raise Broken("the books do not balance")

        if any(accused not in network.lies for _, accused in network.breaches):
            raise Broken("an honest node was accused")
        if network.crash == 0.0 and network.loss < 0.1 and not all(self.arrived_or_may_not()):
            raise Broken("a parcel did not arrive although nobody lied or stopped on paths enough")

    def arrived_or_may_not(self) -> Iterator[bool]:
        """Of each parcel: whether it arrived, or may not have because a node lied on its way."""
        for (_, outcome), plan in zip(self.outcomes, self.plans, strict=True):
            honest = [path for path in plan.paths if not self.network.lies.keys() & set(path)]
            no_lease = "no key material" in str(outcome[0])  # what asks for one may be lost, too
            yield outcome == [None] or len(honest) < plan.threshold or no_lease

    def _check_memory(self) -> None:
        """After a while nobody keeps anything of it."""
        for node in self.network.nodes.values():
            relay = node.relay
            budgets = (relay._hop._budget, relay._combining._budget, relay._destination._budget)
            kept: tuple[Sized, ...] = (
                *relay._hop._steps.values(),
                *relay._combining._combinations.values(),
                *relay._destination._answers.values(),
                *relay._places._told.values(),
                *relay._vouching._heard.values(),
                relay._vouching._told,
                *(budget._used for budget in budgets),
                relay._destination._assemblies,
                relay._source,
            )
            if any(len(each) for each in kept):
                raise Broken("something is kept for ever")

    def _records(self) -> set[bytes]:
        """What came as records, a parcel each: the keys that every SAE can fetch."""
        held: set[bytes] = set()
        for ids, ends in self.ids.items():
            records, slave = self.network.nodes[ends[1]].records, sae_of(ends[1])
            each = [ids[i : i + 16] for i in range(0, len(ids), 16)]
            if all(key_id in records and records.entitles(key_id, sae_of(ends[0]), slave) for key_id in each):
                held.add(b"".join(records.deliver(key_id, slave) for key_id in each))
        return held
