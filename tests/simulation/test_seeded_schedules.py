"""Two thousand seeded schedules break no promise, and reach every kind of fault that they are there for.

KEYHOP_SIMULATION_SCHEDULES runs more of them than CI does.
"""

import os
from collections import Counter

import pytest

from keyhop.testing.simulation import NETWORKS, draw, run
from keyhop.testing.simulation.disk import DiskFault
from keyhop.testing.simulation.schedule import ACTIONS

SCHEDULES = int(os.environ.get("KEYHOP_SIMULATION_SCHEDULES", "2000"))
GROUPS = 10

REACHED = {
    "lost": 100,
    "lost in a partition": 50,
    "repeated": 100,
    "altered": 30,
    "received a straggler": 10,
    "found half-open": 20,
    "killed": 100,
    "stopped": 5,
    "frozen": 20,
    "clock set": 30,
    "bad block": 50,
    "restored": 50,
    "did not start": 5,
    "store failed": 20,
    "crashed between two turns": 50,
    "link stopped": 20,
    "message Announce": 50,
    "message Forward": 50,
    "message Contribution": 10,
    "message Void": 20,
    "message Reclaim": 50,
    "has taken in": 20,
    "has voided": 20,
    "policy changed": 20,
    "called": 40,
    "key mlkem768-xor-v1": 5,
    "key mlkem768-kdf-v1": 5,
    "key expanded": 1,
    "message HybridNamed": 20,
    "message PskStored": 50,
    "answer: not yet synchronised with KME …": 20,
    "answer: KME … has no copy: these are no records that may come": 5,
    "answer: no key material is left for KME … but what is reserved for other SAEs": 5,
    "answer: the KME's store has failed and the KME … stopping": 10,
    **{f"disk fault: {fault.name}": 2 for fault in DiskFault},
}
"""What a tenth of the schedules sees at least."""

RARE = (
    "message Stuck",
    "found silent",
    "lost on the way across",
    "answer: KME … does not answer",
    "answer: one or more key_IDs have been used before",
    "answer: no key material is left for KME … no path of QKD links to KME …",
    "answer: no key material is left for KME … 2 node-disjoint paths to KME … are needed, and 1 known",
    "answer: KME … has no copy: KME … cannot go on: no key material is left for a pad to KME …",
    *NETWORKS,
    *(f"altered {kind}" for kind in ("Announce", "Forward", "PadPlace", "Contribution", "Request", "Stored")),
)
"""What happens at least once in all of them."""

PHASES = (
    "during its start",
    "before a commit",
    "in a commit",
    "while SQLite writes",
    "between a commit and its effects",
    "between a commit and its audit record",
    "while it writes its audit record",
    "before a message leaves",
    "before an answer leaves",
)
"""Where machines lose their power at least once in all of them."""


@pytest.fixture(scope="module")
def seen() -> Counter[str]:
    return Counter()


@pytest.mark.parametrize("group", range(GROUPS))
def test_no_schedule_breaks_a_promise(group: int, seen: Counter[str]) -> None:
    here = Counter[str]()
    size = SCHEDULES // GROUPS
    for seed in range(group * size, (group + 1) * size):
        schedule = draw(seed)
        outcome = run(schedule)
        assert outcome.violation is None, f"keyhop simulate --seed {seed} --story"
        here += outcome.trace.counts
        here.update(action.name for action in schedule.actions)
        here.update((schedule.setting.network, schedule.setting.disk))
    seen += here
    assert not {what: here[what] for what, least in REACHED.items() if here[what] < least}
    assert not {name for name in (*ACTIONS, "fast", "sqlite") if here[name] == 0}


def test_what_is_rare_happened(seen: Counter[str]) -> None:
    assert not [what for what in RARE if seen[what] == 0]


def test_machines_lost_their_power_in_every_phase(seen: Counter[str]) -> None:
    assert not [phase for phase in PHASES if seen[f"crashed {phase}"] == 0]
