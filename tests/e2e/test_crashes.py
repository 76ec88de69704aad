"""`kill -9` of either node, or of both, at any moment while SAEs at both ends work.

KEYHOP_KILLS says how many kills; KEYHOP_SEED replays a plan (when exactly things happen is the machine's).
"""

import logging
import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from statistics import median
from uuid import UUID

import msgspec
import pytest
from witness import Saes, Witness, Worker, at_work, check_ledgers, streams

from keyhop.lab import Lab, LabError, Topology, load_topology

KILLS = int(os.environ.get("KEYHOP_KILLS", "200"))
SEED = int(os.environ.get("KEYHOP_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
UNDISTURBED_S = 0.3
STARTING_S = (0.1, 0.9)
FETCHING_S = 0.03
RECOVERED_S = 10.0
BURNT_BYTES = 64 << 10
"""A crash burns a quarter of a second of what is taken, which is leased ahead; answers that were lost add to it."""

_log = logging.getLogger(__name__)


def fast_link() -> Topology:
    """`two-sites` with a link that makes up for what the crashes burn."""
    plain = load_topology("two-sites-paced")
    links = tuple(
        msgspec.structs.replace(link, options={"rate_bps": 4_000_000, "block_bytes": 32768}) for link in plain.links
    )
    return msgspec.structs.replace(plain, links=links, policy=plain.policy | {"wait_s": 1.0})


class Plan:
    """Kills nodes of a lab at random moments, and sees it recover by itself."""

    def __init__(self, lab: Lab, topology: Topology, saes: Saes, workers: list[Worker]) -> None:
        self._lab = lab
        self._topology = topology
        self._saes = saes
        self._workers = workers
        self._random = random.Random(SEED)
        self._held: list[tuple[str, UUID]] = []
        self._spent: list[tuple[str, UUID]] = []
        self.kills = 0
        self.recoveries_s: list[float] = []

    def crash(self) -> None:
        """One node, the other, or both; sometimes once more while it starts."""
        draw = self._random
        time.sleep(draw.uniform(0, UNDISTURBED_S))
        victims = draw.choice((["alice"], ["bob"], draw.sample(["alice", "bob"], 2)))
        self._kill_amid_fetches(victims[0])
        for victim in victims[1:]:
            self._kill(victim)
        while draw.random() < 0.4:
            with suppress(LabError):
                self._lab.start(victims[0], timeout_s=draw.uniform(*STARTING_S))
            self._kill(draw.choice(["alice", "bob"]))
        self.recover()

    def recover(self) -> None:
        """Starts what is down. Everything a master got is still there, everything a slave got is gone."""
        begin = time.monotonic()
        held, self._held = self._held, []
        spent, self._spent = self._spent, []
        held += [worker.held.pop() for worker in self._workers for _ in range(len(worker.held))]
        spent += [pair for worker in self._workers for pair in worker.spent[-3:]]
        Lab.up(self._topology, self._lab.directory)
        self.recoveries_s.append(time.monotonic() - begin)
        for slave, key_id in spent:
            self._saes.must_be_refused(slave, key_id)
        for slave, key_id in held:
            deadline = time.monotonic() + RECOVERED_S
            while self._saes.must_fetch(slave, [key_id]) is False:
                assert time.monotonic() < deadline, f"{slave} is still not served"

    def _kill_amid_fetches(self, victim: str) -> None:
        """Many keys are on their way at once: some answered, some not yet durable."""
        pairs = (("alicesae", "bobsae"), ("bobsae", "alicesae"))
        wanted = [(slave, key_id) for master, slave in pairs for key_id in self._saes.get(master, (slave,), number=8)]
        with ThreadPoolExecutor(len(wanted) or 1) as callers:
            answers = [callers.submit(self._saes.must_fetch, slave, [key_id]) for slave, key_id in wanted]
            time.sleep(self._random.uniform(0, FETCHING_S))
            self._kill(victim)
        for asked, answer in zip(wanted, answers, strict=True):
            match answer.result():
                case True:
                    self._spent.append(asked)
                case False:
                    self._held.append(asked)

    def _kill(self, victim: str) -> None:
        self._lab.kill(victim)
        self.kills += 1


@pytest.fixture
def crash_topology() -> Topology:
    return fast_link()


@pytest.fixture
def crash_lab(crash_topology: Topology, tmp_path: Path) -> Iterator[Lab]:
    lab = Lab.up(crash_topology, tmp_path / "lab")
    yield lab
    lab.down()


@pytest.mark.timeout(60 + 5 * KILLS)
def test_nothing_is_lost_or_used_twice_whenever_a_node_is_killed(crash_lab: Lab, crash_topology: Topology) -> None:
    _log.info("KEYHOP_KILLS=%d KEYHOP_SEED=%d", KILLS, SEED)
    witness = Witness()
    with Saes.of(crash_lab, witness) as saes:
        with at_work(saes, SEED, per_kme=1) as workers:
            plan = Plan(crash_lab, crash_topology, saes, workers)
            while plan.kills < KILLS and not any(worker.failure for worker in workers):
                plan.crash()
        check_ledgers(crash_lab)
        check_accounts(crash_lab, saes, witness, plan.kills)
    exchanges = sum(worker.exchanges for worker in workers)
    _log.info(
        "%d kills, %d keys, %d exchanges, recovery in %.2f s (median), %.2f s (worst)",
        plan.kills,
        len(witness.keys),
        exchanges,
        median(plan.recoveries_s),
        max(plan.recoveries_s),
    )
    assert exchanges > KILLS


def check_accounts(lab: Lab, saes: Saes, witness: Witness, kills: int) -> None:
    """What the followers say that they delivered is what the slaves got, give or take answers that were lost; and a
    crash costs its leases and the blocks on their way, no more."""
    for kme in lab.inventory().kmes:
        masters = {sae for sae, home in saes.homes.items() if home == kme.id}
        (owner,) = [end for end in streams(lab, kme.id) if end["role"] == "owner"]
        (follower,) = [end for end in streams(lab, owner["follower"]) if end["role"] == "follower"]
        least, most = witness.fetched_bytes(masters)
        assert least <= follower["delivered"] <= most
        assert owner["produced"] <= follower["produced"]
        burnt = owner["delivered"] + owner["voided"] + owner["burnt"] - witness.given_bytes(masters)
        _log.info(
            "%s→%s: %d KiB produced, a kill burnt %d B",
            kme.id,
            owner["follower"],
            owner["produced"] >> 10,
            burnt / kills,
        )
        assert burnt / kills < BURNT_BYTES
