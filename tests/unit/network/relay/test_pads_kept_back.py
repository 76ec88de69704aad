"""A link that lacks: what is kept back of it is for those that somebody at this KME waits for, and all others go on."""

from collections import Counter

import pytest
from padded import PAD, PADDED, Padded, burst, flow, flowing

from keyhop.core.ids import SaeId
from keyhop.core.units import UNIT_BYTES, units_for
from keyhop.network.sealing import MAC_KEY_BYTES

LARGE = 2 * PADDED


def trickle(padded: Padded, seconds: int = 1) -> None:
    """The link goes on, a tenth of four kilobytes at a time."""
    for _ in range(10 * seconds):
        padded.clock.advance(0.1)
        padded.leasing.demand.brought(416 // UNIT_BYTES)
        padded.produce(416)
        padded.leasing.tick()
        padded.pads.tick()
        padded.note()


def lacking() -> Padded:
    """Of what is kept back less is left than LARGE, and many wait that leave it."""
    padded = flowing()
    burst(padded)
    while padded.leasing.common_units >= units_for(LARGE):
        padded.ask("drain", flow("drain"), asked_for=True, size_bytes=PAD // 4)
    for number in range(20):
        padded.ask("ahead", flow(f"ahead {number}"))
    return padded


def test_a_burst_of_what_is_relayed_ahead_leaves_something_of_a_link() -> None:
    padded = flowing()
    assert burst(padded) > 80
    left = padded.leasing.entitled_units(None) * UNIT_BYTES
    assert 4 * 800 < left <= 4096 + PADDED
    assert padded.leasing.spare_units == 0


def test_who_asks_at_this_kme_finds_it_at_once_and_so_does_what_comes_first() -> None:
    padded = flowing()
    burst(padded)
    padded.ask("asked for", flow("here"), asked_for=True)
    assert padded.served[-1] == "asked for"
    padded.ask("first", flow("others", 6))
    assert padded.served[-1] == "first"
    padded.ask("not first", flow("others", 4))
    assert padded.served[-1] == "first"


def test_what_is_relayed_ahead_is_not_starved_by_what_is_asked_for_here() -> None:
    padded = flowing()
    burst(padded)
    had = len(padded.served)
    for _ in range(20):
        padded.bring(1)
        for _ in range(10):
            padded.ask("asked for", flow("here"), asked_for=True)
    served = padded.served[had:]
    assert 0.4 < served.count("burst") / len(served) < 0.7


def test_a_link_that_brings_nothing_any_more_keeps_nothing_back() -> None:
    padded = flowing()
    burst(padded)
    had = len(padded.served)
    padded.clock.advance(100.0)
    padded.leasing.tick()
    padded.note()
    assert len(padded.served) > had
    assert padded.leasing.entitled_units(None) * UNIT_BYTES < PADDED


def test_who_is_waited_for_here_has_what_is_kept_back_as_soon_as_it_is_enough() -> None:
    padded = lacking()
    padded.ask("asked for", flow("here"), asked_for=True, size_bytes=LARGE - MAC_KEY_BYTES)
    assert padded.served[-1] == "drain"
    trickle(padded)
    assert "asked for" in padded.served


def test_those_that_pass_keep_their_turns_among_each_other() -> None:
    padded = lacking()
    for _ in range(8):
        padded.ask("greedy", flow("greedy"), asked_for=True, size_bytes=LARGE - MAC_KEY_BYTES)
    padded.ask("honest", flow("honest"), asked_for=True, size_bytes=LARGE - MAC_KEY_BYTES)
    padded.ask("last", flow("last", 3), asked_for=True, size_bytes=LARGE - MAC_KEY_BYTES)
    padded.produce(10 * PADDED)
    assert [name for name in padded.served if name in ("greedy", "honest", "last")] == ["greedy", "honest"]


@pytest.mark.parametrize("with_floors", [False, True])
@pytest.mark.parametrize(("asked_bytes", "ahead_bytes"), [(800, 800), (256, 1600), (1600, 256)])
def test_both_go_on_when_both_want_more_than_comes(with_floors: bool, asked_bytes: int, ahead_bytes: int) -> None:
    """`with_floors`: SAEs at this KME lack as well, and have the other half of the link."""
    padded = flowing()
    burst(padded)
    if with_floors:
        padded.leasing.reserve(1 << 18, [(SaeId("x"), SaeId("y"))], 1 << 20)
    seconds, had = 60, Counter[str]()
    for second in range(seconds):
        for _ in range(20):
            padded.ask("asked for", flow("here"), asked_for=True, size_bytes=asked_bytes - MAC_KEY_BYTES)
            padded.ask("ahead", flow("others"), size_bytes=ahead_bytes - MAC_KEY_BYTES)
        if second == 10:  # what was kept back is used up, and so is any head start
            had = Counter(padded.served)
        trickle(padded)
    had = Counter(padded.served) - had
    asked, ahead = had["asked for"] * asked_bytes, had["ahead"] * ahead_bytes + had["burst"] * PADDED
    brought = (seconds - 10) * 4160 // (2 if with_floors else 1)
    assert asked + ahead > 0.95 * brought
    assert 0.45 < asked / (asked + ahead) < 0.55


def test_however_large_the_next_one_is_who_is_waited_for_here_passes() -> None:
    padded = flowing()
    padded.ask("ahead", flow("elsewhere"), size_bytes=1 << 17)
    while padded.leasing.common_units >= units_for(LARGE):
        padded.ask("drain", flow("drain"), asked_for=True)
    padded.ask("asked for", flow("here"), asked_for=True, size_bytes=LARGE - MAC_KEY_BYTES)
    assert padded.served[-1] == "drain"
    trickle(padded)
    assert padded.served[-1] == "asked for"


def test_nobody_passes_what_comes_before_it_and_may_have_the_same() -> None:
    padded = flowing()
    padded.ask("first", flow("elsewhere", 6), size_bytes=1 << 17)
    padded.ask("asked for", flow("here"), asked_for=True)
    assert padded.served == []
    padded.produce(1 << 17)
    assert padded.served == ["first", "asked for"]


def test_who_passes_may_be_cancelled_and_leaves_room_for_another() -> None:
    padded = flowing()
    padded.ask("ahead", flow("elsewhere"), size_bytes=1 << 17)
    large = 48000
    cancel = padded.ask_ahead_of_a_lease("cancelled", flow("here"), asked_for=True, size_bytes=large)
    assert "cancelled" not in padded.served
    cancel()
    cancel()
    padded.ask("asked for", flow("here"), asked_for=True, size_bytes=large)
    assert padded.served[-1] == "asked for"
    cancel()
    assert "cancelled" not in padded.served
