"""`kill -9` of either node, or of both, at any moment while SAEs at both ends work; and what must hold afterwards.

A plan is drawn from a seed. When exactly things happen is the machine's.
"""

import random
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID

import msgspec
from witness import Saes, Witness, Worker, streams

from keyhop.lab import Lab, Topology, load_topology

FETCHING_S = 0.03
RECOVERED_S = 10.0
BURNT_BYTES = 64 << 10
"""A crash burns a quarter of a second of what is taken, which is leased ahead; answers that were lost add to it."""

Phase = Literal["at work", "amid fetches", "both at once", "at the start"]


def fast_link() -> Topology:
    """`two-sites` with a link that makes up for what the crashes burn."""
    plain = load_topology("two-sites-paced")
    links = tuple(
        msgspec.structs.replace(link, options={"rate_bps": 4_000_000, "block_bytes": 32768}) for link in plain.links
    )
    return msgspec.structs.replace(plain, links=links, policy=plain.policy | {"wait_s": 1.0})


@dataclass(frozen=True, slots=True)
class Pace:
    """How long nodes are left alone, and how long they are let start before they are killed again, in seconds."""

    undisturbed_s: tuple[float, float]
    starting_s: tuple[float, float]


class Nodes(Protocol):
    """The two nodes as processes."""

    def kill(self, kme: str) -> None:
        """`kill -9`; harmless when it does not run."""
        ...

    def start(self, kme: str, for_s: float) -> None:
        """Lets it start for so long, or until it is ready; harmless when it runs."""
        ...

    def all_ready(self) -> None:
        """Starts what does not run, and waits until both are ready."""
        ...


class Plan:
    """Kills nodes at random moments, and sees them recover by themselves. Raises Violation."""

    def __init__(self, nodes: Nodes, saes: Saes, workers: Sequence[Worker], seed: int, pace: Pace) -> None:
        self._nodes = nodes
        self._saes = saes
        self._workers = workers
        self._random = random.Random(seed)
        self._pace = pace
        self._held: list[tuple[str, UUID]] = []
        self._spent: list[tuple[str, UUID]] = []
        self.kills = Counter[Phase]()
        self.recoveries_s: list[float] = []

    def crash(self) -> None:
        """One node, the other, or both; sometimes once more while it starts."""
        draw = self._random
        time.sleep(draw.uniform(*self._pace.undisturbed_s))
        first, second = draw.sample(["alice", "bob"], 2)
        if draw.random() < 0.5:
            self._kill_amid_fetches(first)
        else:
            self._kill(first, "at work")
        if draw.random() < 0.3:
            self._kill(second, "both at once")
        while draw.random() < 0.4:
            self._nodes.start(first, draw.uniform(*self._pace.starting_s))
            self._kill(draw.choice([first, second]), "at the start")
        self.recover()

    def recover(self) -> None:
        """Starts what is down. Everything a master got is still there, everything a slave got is gone."""
        begin = time.monotonic()
        held, self._held = self._held, []
        spent, self._spent = self._spent, []
        held += [worker.held.pop() for worker in self._workers for _ in range(len(worker.held))]
        spent += [pair for worker in self._workers for pair in worker.spent[-3:]]
        self._nodes.all_ready()
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
            self._kill(victim, "amid fetches")
        for asked, answer in zip(wanted, answers, strict=True):
            match answer.result():
                case True:
                    self._spent.append(asked)
                case False:
                    self._held.append(asked)

    def _kill(self, victim: str, phase: Phase) -> None:
        self._nodes.kill(victim)
        self.kills[phase] += 1


def burnt_bytes(lab: Lab, saes: Saes, witness: Witness) -> dict[str, int]:
    """What was neither given to a master nor is left, per owner, in bytes.

    What the followers say that they delivered is what the slaves got, give or take answers that were lost. Raises
    AssertionError.
    """
    burnt = {}
    for kme in lab.inventory().kmes:
        masters = {sae for sae, home in saes.homes.items() if home == kme.id}
        (owner,) = [end for end in streams(lab, kme.id) if end["role"] == "owner"]
        (follower,) = [end for end in streams(lab, owner["follower"]) if end["role"] == "follower"]
        least, most = witness.fetched_bytes(masters)
        assert least <= follower["delivered"] <= most
        assert owner["produced"] <= follower["produced"]
        burnt[kme.id] = owner["delivered"] + owner["voided"] + owner["burnt"] - witness.given_bytes(masters)
    return burnt


def taken_for_restored(lab: Lab) -> list[str]:
    """The nodes whose log says that a store was an old copy: after crashes alone none is."""
    nodes = lab.directory / "nodes"
    return [kme.id for kme in lab.inventory().kmes if "old copy" in (nodes / kme.id / "node.log").read_text()]
