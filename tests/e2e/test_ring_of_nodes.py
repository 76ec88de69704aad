"""Five nodes in a ring while SAEs work: a link is cut, nodes are killed, and whoever can be reached is served."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise, permutations, product

import pytest
from witness import Saes, Witness, at_work, check_ledgers

from keyhop.lab import Lab
from keyhop.lab.topology import Kme, Link, Topology
from keyhop.node.state import Disturbance, StreamInfo

RING = ("n1", "n2", "n3", "n4", "n5")
SERVED_S = 20.0
"""Service is back within 5 s on a machine that has nothing else to do."""
STEADY_ROUNDS = 3
"""Rounds in a row in which every pair of KMEs is served at once."""
POLL_S = 0.1


def ring() -> Topology:
    """Little in stock, so that what is lost is missed soon."""
    return Topology(
        kmes=tuple(Kme(name, saes=2) for name in RING),
        links=tuple(Link(f"{a}-{b}", (a, b), options={"rate_bps": 1_000_000}) for a, b in pairwise((*RING, RING[0]))),
        policy={"stock_bytes": 65_536, "reserved_bytes_per_pair": 256, "wait_s": 0.5},
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab.up(ring(), tmp_path_factory.mktemp("ring"))
    yield lab
    lab.down()


@contextmanager
def working(lab: Lab, seed: int) -> Iterator[Saes]:
    """SAEs of all sites at work while the block runs, beside those that it has; no key is wrong or comes twice."""
    witness = Witness()
    with Saes.of(lab, witness) as saes, Saes.of(lab, witness) as colleagues:
        with at_work(colleagues, seed) as workers:
            wait_until_served(saes, RING, "it does not begin")
            yield saes
        assert all(worker.exchanges > 0 for worker in workers)


def is_served(saes: Saes, here: str, there: str) -> bool:
    """Whether an SAE at one KME and one at another one share a new key now."""
    key_ids = saes.get(f"{here}-1", (f"{there}-2",))
    return bool(key_ids) and bool(saes.must_fetch(f"{there}-2", key_ids))


def wait_until_served(saes: Saes, kmes: tuple[str, ...], what: str) -> None:
    """Until every one of these KMEs shares keys with every other one, steadily; the time that it took is printed."""
    begin, steady = time.monotonic(), 0
    outage_s = 0.0
    while steady < STEADY_ROUNDS:
        missing = [pair for pair in permutations(kmes, 2) if not is_served(saes, *pair)]
        steady = 0 if missing else steady + 1
        if missing:
            outage_s = time.monotonic() - begin
        assert outage_s < SERVED_S, f"{what}: {missing} are not served: {sorted(saes.reasons)}"
    sys.stdout.write(f"{what}: all pairs of {', '.join(kmes)} are served after {outage_s:.1f} s\n")


def wait_until_told(saes: Saes, here: str, there: str, *reasons: str) -> None:
    """Until nothing is left between two KMEs, not even what is reserved, and SAEs are told one of these reasons."""
    deadline = time.monotonic() + SERVED_S
    saes.reasons.clear()
    while not saes.reasons.intersection(reasons):
        for master, slave in product(("1", "2"), repeat=2):
            for size_bits, number in ((8192, 4), (64, 20), (64, 1)):
                while saes.get(f"{here}-{master}", (f"{there}-{slave}",), size_bits, number):
                    pass
        assert time.monotonic() < deadline, f"they are told {saes.reasons}"


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SERVED_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(POLL_S)


def owned(lab: Lab, owner: str, follower: str, route: str) -> StreamInfo | None:
    streams = lab.management()[owner].streams()
    found = [each for each in streams if (each.owner, each.follower, each.route) == (owner, follower, route)]
    return found[0] if found else None


def delivered(lab: Lab, owner: str, follower: str, route: str) -> int:
    stream = owned(lab, owner, follower, route)
    return stream.delivered if stream else 0


def test_keys_of_two_neighbours_come_over_the_others_once_their_link_is_cut(lab: Lab) -> None:
    with working(lab, seed=1) as saes:
        lab.disturb("n1-n2", lambda now: Disturbance(cut=True))
        try:
            wait_until_served(saes, RING, "link n1-n2 is cut")
            before = delivered(lab, "n1", "n2", "relayed")

            def comes_over_others() -> bool:
                saes.get("n1-1", ("n2-1",), size_bits=8192)
                return delivered(lab, "n1", "n2", "relayed") > before

            until(comes_over_others, "what was in stock never ends")
            wait_until_served(saes, RING, "the stock of the link is used up")
        finally:
            lab.disturb("n1-n2", lambda now: Disturbance())
    check_ledgers(lab)


def test_a_node_that_is_killed_is_missed_by_its_own_saes_only_and_comes_back(lab: Lab) -> None:
    others = tuple(name for name in RING if name != "n3")
    with working(lab, seed=2) as saes:
        lab.kill("n3")
        wait_until_served(saes, others, "n3 is killed")
        away = ("no key material, and no connection to KME n3", "KME n3 is not connected")
        wait_until_told(saes, "n1", "n3", *away)
        lab.start("n3")
        wait_until_served(saes, RING, "n3 is back")
    check_ledgers(lab)


def test_who_is_cut_off_is_told_that_no_path_leads_there(lab: Lab) -> None:
    """Its connection to the nodes beyond goes on: what is missing is key."""
    with Saes.of(lab, Witness()) as saes:
        wait_until_served(saes, RING, "before")
        for name in ("n2", "n5"):
            lab.kill(name)
        try:
            no_path = "no key material is left for KME n3: no path of QKD links to KME n3"
            wait_until_told(saes, "n1", "n3", no_path)
            wait_until_served(saes, ("n3", "n4"), "n1 is cut off")
        finally:
            for name in ("n2", "n5"):
                lab.start(name)
        wait_until_served(saes, RING, "n1 is joined again")
    check_ledgers(lab)
