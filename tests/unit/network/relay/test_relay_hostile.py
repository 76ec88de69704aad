"""Whoever alters, invents, repeats or piles up messages spoils what is his, and nothing else."""

from collections.abc import Callable, Iterator

import msgspec
import pytest
from relay_ways import DATA, LINKS, SOME, THREE, TWO, XOR, A, B, C, D, E, F, block, drain, network_of_relays

from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId
from keyhop.core.key_id import Located
from keyhop.core.keys import KeyMaterial
from keyhop.core.record_ids import record_ids
from keyhop.core.streams import Block, Place, Taken
from keyhop.core.xor import xor
from keyhop.network import wire
from keyhop.network.expanding.own import ExpandedPad
from keyhop.network.relay import memory
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
from keyhop.network.relay.pads import Pads, Standing
from keyhop.network.relay.parcels import Parcel, Plan
from keyhop.testing.relays import VirtualRelays, sae_of

replace = msgspec.structs.replace
SHARED = Plan("secret-shared", ((A, B, D), (A, C, D)), 2)


def flipped(data: bytes, bit: int = 0) -> bytes:
    return xor(data, (1 << bit).to_bytes(len(data)))


@pytest.fixture
def network() -> VirtualRelays:
    return network_of_relays()


def sent[M: OfRelay](network: VirtualRelays, kind: type[M], source: KmeId) -> M:
    """The one such message that a node sent."""
    (message,) = (m for who, _, m in network.said if who == source and isinstance(m, kind))
    return message


def departed(network: VirtualRelays, plan: Plan) -> list[str | None]:
    """What a source sends of a parcel is on the way, and lost."""
    outcome = network.send("A", block(), plan)
    network._flush()
    network.lose()
    return outcome


FORWARDS: dict[str, Callable[[Forward], Forward]] = {
    "sealed": lambda m: replace(m, sealed=flipped(m.sealed)),
    "sealed, in front": lambda m: replace(m, sealed=flipped(m.sealed, 8 * len(m.sealed) - 1)),
    "sealed, shorter": lambda m: replace(m, sealed=m.sealed[:-8]),
    "sealed, longer": lambda m: replace(m, sealed=m.sealed + bytes(8)),
    "tag": lambda m: replace(m, tag=flipped(m.tag)),
    "no tag": lambda m: replace(m, tag=b""),
    "parcel": lambda m: replace(m, parcel=flipped(m.parcel)),
    "share": lambda m: replace(m, share=1),
    "priority": lambda m: replace(m, priority=1),
    "pad": lambda m: replace(m, pad=m.pad + 1),
    "pad far away": lambda m: replace(m, pad=1 << 36),
    "pad in the ID key": lambda m: replace(m, pad=0),
    "epoch": lambda m: replace(m, epoch=2),
    "another way on": lambda m: replace(m, route=(A, E, F, C)),
    "another source": lambda m: replace(m, route=(B, A, E, F, D)),
}


@pytest.mark.parametrize("what", FORWARDS)
def test_an_altered_share_goes_no_further_and_does_not_keep_the_true_one_out(network: VirtualRelays, what: str) -> None:
    departed(network, THREE)
    true = sent(network, Forward, A)
    network.nodes[E].relay.received(A, FORWARDS[what](true))
    network._flush()
    assert not any(source == E and isinstance(m, Forward) for source, _, m in network.said)
    network.nodes[E].relay.received(A, true)
    network._flush()
    assert sent(network, Forward, E).sealed != true.sealed
    assert network.nodes[E].balanced()


def test_an_altered_place_of_a_pad_is_not_believed(network: VirtualRelays) -> None:
    departed(network, XOR)
    true, request = sent(network, PadPlace, A), next(m for _, _, m in network.said if isinstance(m, Request))
    network.nodes[E].relay.received(A, request)
    for altered in (replace(true, pad=true.pad + 8), replace(true, tag=flipped(true.tag))):
        network.nodes[E].relay.received(A, altered)
        network._flush()
        assert not any(isinstance(m, Contribution) for _, _, m in network.said)
    network.nodes[E].relay.received(A, true)
    network._flush()
    assert sent(network, Contribution, E)


BREACHES: dict[str, tuple[KmeId, KmeId, OfRelay]] = {
    "a route through the receiver twice": (A, B, Forward(bytes(16), 0, (A, B, C, B, D), 0, 1, 8, bytes(65), bytes(16))),
    "a route that does not come from there": (A, B, Forward(bytes(16), 0, (A, C, B, D), 0, 1, 8, bytes(65), bytes(16))),
    "a route without the receiver": (A, B, Forward(bytes(16), 0, (A, C, D), 0, 1, 8, bytes(65), bytes(16))),
    "a route that begins at the receiver": (A, B, Forward(bytes(16), 0, (B, A, D), 0, 1, 8, bytes(65), bytes(16))),
    "a share of one who is no neighbour": (B, C, Forward(bytes(16), 0, (A, B, C, D), 0, 1, 8, bytes(65), bytes(16))),
    "a last share of one who is no neighbour": (A, D, Forward(bytes(16), 0, (A, D), 0, 1, 8, bytes(65), bytes(16))),
    "a request of one who is not the source": (B, C, Request(bytes(16), (A, C, D), 0, 8)),
    "a request to the destination": (A, D, Request(bytes(16), (A, B, D), 0, 8)),
    "a request to a node twice on its way": (A, B, Request(bytes(16), (A, B, C, B, D), 0, 8)),
    "another's parcel": (
        B,
        D,
        Announce(
            bytes(16), RecordsPayload(bytes(16), "kme", "a", ("b",), b""), "hop-by-hop", ((A, B, D),), 1, 8, bytes(32)
        ),
    ),
    "a parcel for another": (
        A,
        B,
        Announce(
            bytes(16), RecordsPayload(bytes(16), "kme", "a", ("b",), b""), "hop-by-hop", ((A, B, D),), 1, 8, bytes(32)
        ),
    ),
    "paths with a common node": (
        A,
        D,
        Announce(
            bytes(16),
            RecordsPayload(bytes(16), "kme", "a", ("b",), b""),
            "secret-shared",
            ((A, B, D), (A, C, B, D)),
            2,
            8,
            bytes(32),
        ),
    ),
    "a threshold over the number of paths": (
        A,
        D,
        Announce(
            bytes(16),
            RecordsPayload(bytes(16), "kme", "a", ("b",), b""),
            "secret-shared",
            ((A, B, D), (A, C, D)),
            3,
            8,
            bytes(32),
        ),
    ),
    "nothing masked": (
        A,
        D,
        Announce(
            bytes(16),
            RecordsPayload(bytes(16), "kme", "a", ("b",), b""),
            "xor-at-destination",
            ((A, B, D),),
            1,
            8,
            bytes(32),
        ),
    ),
    "something masked": (
        A,
        D,
        Announce(
            bytes(16),
            RecordsPayload(bytes(16), "kme", "a", ("b",), b""),
            "hop-by-hop",
            ((A, B, D),),
            1,
            8,
            bytes(32),
            bytes(16),
            bytes(72),
        ),
    ),
}


@pytest.mark.parametrize("what", BREACHES)
def test_what_no_relay_sends_costs_the_connection(network: VirtualRelays, what: str) -> None:
    source, target, message = BREACHES[what]
    with pytest.raises(PeerError):
        network.nodes[target].relay.received(source, message)


def lying(network: VirtualRelays, name: KmeId) -> Callable[[KmeId, OfRelay], Iterator[tuple[KmeId, OfRelay]]]:
    """Alters the share that it forwards, or its contribution; it has the key for the tag."""

    def lie(target: KmeId, message: OfRelay) -> Iterator[tuple[KmeId, OfRelay]]:
        if isinstance(message, Forward):
            yield target, network.watch.retagged(name, target, replace(message, sealed=flipped(message.sealed)))
        elif isinstance(message, Contribution):
            yield target, replace(message, pads=flipped(message.pads))
        else:
            yield target, message

    return lie


@pytest.mark.parametrize(("plan", "liar"), [(TWO, B), (THREE, F), (XOR, E), (SHARED, C)])
def test_a_lie_about_what_is_needed_is_found_out(network: VirtualRelays, plan: Plan, liar: KmeId) -> None:
    network.lies[liar] = lying(network, liar)
    outcome = network.send("A", block(), plan)
    network.settle()
    assert outcome == ["KME D refused it: what came is not what was announced"]
    assert network.delivered.blocks == network.delivered.own == []


@pytest.mark.parametrize("liar", [B, C, F])
def test_with_k_of_n_the_others_are_enough(network: VirtualRelays, liar: KmeId) -> None:
    network.lies[liar] = lying(network, liar)
    outcome = network.send("A", block(), SOME)
    network.settle()
    assert outcome == [None]
    assert network.delivered.blocks == [(A, D, DATA)]


def test_with_k_of_n_two_lies_leave_too_little(network: VirtualRelays) -> None:
    network.lies |= {liar: lying(network, liar) for liar in (B, C)}
    outcome = network.send("A", block(), SOME)
    network.settle()
    assert outcome == ["KME D refused it: what came is not what was announced"]


@pytest.mark.parametrize("plan", [TWO, THREE, XOR, SOME, SHARED], ids=lambda plan: f"{plan.strategy} {plan.threshold}")
def test_messages_in_any_order_and_more_than_once_make_one_parcel(plan: Plan) -> None:
    for seed in range(20):
        network = VirtualRelays(LINKS, seed)
        network.lease_ahead()
        network.reorder, network.repeat = True, 0.4
        outcome = network.send("A", block(), plan)
        network.settle()
        assert outcome == [None]
        assert network.delivered.blocks == [(A, D, DATA)]


def test_a_share_that_came_another_way_does_not_take_the_place_of_the_true_one(network: VirtualRelays) -> None:
    """C knows the parcel's ID, and brings a share 0, which is to come over B, before B does."""
    outcome = network.send("A", block(), SHARED)

    def lie(target: KmeId, message: OfRelay) -> Iterator[tuple[KmeId, OfRelay]]:
        if isinstance(message, Forward):
            for route in ((A, C, D), (A, E, C, D)):
                yield target, network.watch.retagged(C, target, replace(message, share=0, route=route))
        yield target, message

    network.lies[C] = lie
    network.settle()
    network.pass_time(2.0)
    assert outcome != [None] or network.delivered.blocks == [(A, D, DATA)]
    assert not network.delivered.blocks or network.delivered.blocks == [(A, D, DATA)]


def test_an_altered_announcement_is_refused(network: VirtualRelays) -> None:
    outcome = departed(network, TWO)
    announce = sent(network, Announce, A)
    forward = sent(network, Forward, A)
    network.nodes[D].relay.received(A, replace(announce, key=flipped(announce.key)))
    network.nodes[B].relay.received(A, forward)
    network.settle()
    assert outcome == ["KME D refused it: what came is not what was announced"]


@pytest.mark.parametrize(
    "payload",
    [
        RecordsPayload(bytes(16), "kme", sae_of(B), (sae_of(D),), record_ids(bytes(16))),
        RecordsPayload(bytes(16), "kme", sae_of(A), (sae_of(B),), record_ids(bytes(16))),
        RecordsPayload(bytes(16), "kme", sae_of(A), (sae_of(D),), b"x" * 16),
        RecordsPayload(bytes(16), "kme", sae_of(A), (sae_of(D),), record_ids(bytes(48))),
        RecordsPayload(bytes(16), "kme", sae_of(A), (sae_of(D),), b""),
    ],
)
def test_records_that_may_not_come_are_refused_at_once(network: VirtualRelays, payload: RecordsPayload) -> None:
    outcome = network.send("A", Parcel(D, payload, KeyMaterial(DATA)), TWO)
    network.settle()
    assert outcome == ["KME D refused it: these are no records that may come"]
    assert len(network.nodes[D].records) == 0


def test_what_waits_at_a_destination_is_bounded_for_each_source(
    network: VirtualRelays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MAX_BYTES_PER_SOURCE", 3 * (len(DATA) + 64 + memory.ITEM_BYTES))
    outcomes = []
    network.cut.add(frozenset((A, D)))  # so nothing is announced
    monkeypatch.setattr("keyhop.network.relay.nodes.Nodes.reaches", lambda *_: True)
    for number in range(8):
        outcomes.append(network.send("A", block(data=bytes([number]) * len(DATA)), TWO))
        network.settle()
    destination = network.nodes[D].relay._destination
    assert len(destination._assemblies) == 3
    assert destination._budget.has_room(B, C, len(DATA))
    network.cut.clear()
    network.pass_time(3.0)
    assert outcomes == [[None]] * 8
    assert not destination._assemblies


def test_an_announcement_of_many_records_counts_as_much_as_it_takes(
    network: VirtualRelays, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = record_ids(b"".join(number.to_bytes(16) for number in range(256)))
    monkeypatch.setattr(memory, "MAX_BYTES_PER_SOURCE", 3 * (len(ids) + 1024 + memory.ITEM_BYTES))
    destination = network.nodes[D].relay._destination
    for number in range(8):
        name = bytes([number]) * 16
        payload = RecordsPayload(name, "kme", sae_of(A), (sae_of(D),), ids)
        announce = Announce(name, payload, "hop-by-hop", ((A, B, D),), 1, len(ids), bytes(32), bytes(16))
        destination.announced(A, announce)
    assert len(destination._assemblies) == 3


def test_what_waits_for_pads_at_a_hop_is_bounded(network: VirtualRelays, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_BYTES_PER_SOURCE", 2 * (len(DATA) + 64 + memory.ITEM_BYTES))
    drain(network, B, D)
    outcomes = [network.send("A", block(data=bytes([number]) * len(DATA)), TWO) for number in range(4)]
    network.settle()
    stuck = [m for source, _, m in network.said if source == B and isinstance(m, Stuck)]
    assert [m.reason for m in stuck] == ["too much waits for pads here"] * 2
    network.produce()
    network.settle()
    assert outcomes == [[None]] * 2 + [["KME B cannot go on: too much waits for pads here"]] * 2


def test_a_budget_is_each_peers_and_each_sources_own() -> None:
    budget = memory.Budget()
    size = memory.MAX_BYTES_PER_SOURCE - memory.ITEM_BYTES
    assert budget.has_room(A, B, size)
    assert not budget.has_room(A, B, size + 1)
    budget.charge(A, B, size)
    assert not budget.has_room(A, B, 0)
    assert budget.has_room(A, C, size)
    assert budget.has_room(C, B, size)
    for source in (C, D, E):
        budget.charge(A, source, size)
    assert not budget.has_room(A, F, 0)
    budget.refund(A, B, size)
    assert budget.has_room(A, F, size)


def test_what_is_remembered_is_the_newest_and_not_for_long() -> None:
    remembered: memory.Remembered[str, int] = memory.Remembered(3 * memory.ITEM_BYTES, 10.0)
    for number, name in enumerate("abc"):
        remembered.put(name, number, 0, float(number))
    remembered.put("b", 7, 0, 3.0)
    assert [remembered.get(name) for name in "abcd"] == [0, 7, 2, None]
    remembered.put("d", 9, 0, 4.0)
    assert [remembered.get(name) for name in "abcd"] == [None, 7, 2, 9]
    remembered.expire(12.5)
    assert [remembered.get(name) for name in "abcd"] == [None, 7, None, 9]
    remembered.put("e", 1, memory.ITEM_BYTES, 5.0)
    assert [remembered.get(name) for name in "bde"] == [None, 9, 1]
    remembered.expire(100.0)
    assert len(remembered) == 0


def test_answers_of_others_are_nobodys(network: VirtualRelays) -> None:
    outcome = departed(network, TWO)
    parcel = sent(network, Announce, A).parcel
    for message in (Stored(parcel), Refused(parcel, "no")):
        network.nodes[A].relay.received(B, message)
    assert outcome == []


def test_no_repr_shows_what_a_relay_holds(network: VirtualRelays) -> None:
    network.send("A", block(data=b"SECRET" * 100), TWO)
    while not network.nodes[D].relay._destination._assemblies:
        assert network.step()
    shown = repr(vars(network.nodes[D].relay._destination)) + repr(network.nodes[A].relay._source._under_way)
    assert "SECRET" not in shown


@pytest.mark.parametrize("deceived", [F, D])
def test_a_source_that_asks_for_a_longer_pad_than_was_taken_gets_no_bytes_of_others(
    network: VirtualRelays, deceived: KmeId
) -> None:
    """What follows the pad in the stream may be somebody's key: XORed with a pad that a friend of the source knows, it
    would be his."""

    def more(target: KmeId, message: OfRelay) -> Iterator[tuple[KmeId, OfRelay]]:
        if target == deceived and isinstance(message, Request):
            message = replace(message, size=message.size + 640)
        if target == deceived and isinstance(message, Announce):
            message = replace(message, size=message.size + 640, masked=message.masked + bytes(640))
        yield target, message

    network.lies[A] = more
    network.send("A", block(), XOR)
    network.settle()
    before = E if deceived == F else F
    stream = network.nodes[before].direct(deceived).owned
    key = stream.take(640, 1, "delivered")
    assert key is not None
    assert network.nodes[deceived].direct(before).followed.has(Place(key.epoch, Located(key.position, 640)))


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "\u009b1m"])
def test_what_a_terminal_would_obey_is_no_message(text: str) -> None:
    bodies: list[wire.Body] = [Stuck(bytes(16), 0, "B", text), Refused(bytes(16), text)]
    bodies.append(Forward(bytes(16), 0, ("A", text, "D"), 4, 1, 8, bytes(80), bytes(16)))
    for body in bodies:
        with pytest.raises(PeerError):
            wire.decode(wire.encode(wire.Envelope("relayed", 1, 1, body)))


STRANGER = KmeId("stranger")


def test_shares_of_kmes_that_are_none_take_no_pads(network: VirtualRelays) -> None:
    """Each pair of ends has its turn for the pads of a link: who invents ends would have more turns than others."""

    def renamed(target: KmeId, message: OfRelay) -> Iterator[tuple[KmeId, OfRelay]]:
        if isinstance(message, Forward):
            message = replace(message, route=(*message.route[:-1], STRANGER))
        if isinstance(message, Request):
            message = replace(message, route=(*message.route[:-1], STRANGER))
        yield target, network.watch.retagged(A, target, message)

    network.lies[A] = renamed
    for plan in (THREE, XOR):
        network.send("A", block(), plan)
        network.settle()
    assert not [m for who, _, m in network.said if who != A and isinstance(m, Forward | PadPlace)]
    assert {m.reason for _, _, m in network.said if isinstance(m, Stuck)} == {"it names a KME that is not known here"}


def test_a_path_over_kmes_that_are_none_is_refused(network: VirtualRelays) -> None:
    paths = ((A, B, D), (A, STRANGER, D))
    network.nodes[D].relay.received(
        A, Announce(bytes(16), BlockPayload(), "secret-shared", paths, 2, 8, bytes(32), bytes(16))
    )
    network.settle()
    refusal = sent(network, Refused, D)
    assert refusal.reason == "it names a KME that is not known here"


def test_no_repr_shows_what_waits_for_a_pad(network: VirtualRelays, monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, follower in ((A, B), (C, D)):
        drain(network, owner, follower)
        direct = network.nodes[owner].direct(follower)
        monkeypatch.setattr(direct, "pads", Pads(direct.leasing, network.clock, lambda flow: Standing(4, 1.0)))
    for way in ((A, B, D), (A, C, D)):
        network.send("A", block(data=b"SECRET" * 100), Plan("hop-by-hop", (way,)))
        network.settle()
    for owner, follower in ((A, B), (C, D)):
        waiting = network.nodes[owner].direct(follower).pads
        assert waiting._first is not None
        assert "SECRET" not in repr((waiting._first, waiting._leasing._waiting.wants))


def test_no_repr_shows_bytes_of_a_stream() -> None:
    secret = b"SECRET" * 4
    shown = repr((Taken(1, 8, secret, []), Block(secret, 0, b"", 0.0, "x"), ExpandedPad(1, 8, 1, secret)))
    assert "SECRET" not in shown
    assert "24 bytes" in shown
