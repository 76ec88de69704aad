"""Nodes of a lab are killed again and again while SAEs work (`crashing`).

KEYHOP_KILLS says how many kills; KEYHOP_SEED replays a plan. `bench/crashes.py` does this some ten thousand times.
"""

import logging
import os
import random
from pathlib import Path
from statistics import median

import pytest
from audited import check_audit_logs
from crashing import BURNT_BYTES, Pace, Plan, burnt_bytes, fast_link, taken_for_restored
from forked_lab import ForkedLab
from witness import Saes, Witness, at_work, check_ledgers

KILLS = int(os.environ.get("KEYHOP_KILLS", "200"))
SEED = int(os.environ.get("KEYHOP_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
PACE = Pace(undisturbed_s=(0.0, 0.2), starting_s=(0.0, 0.15))

_log = logging.getLogger(__name__)


@pytest.mark.timeout(60 + 5 * KILLS)
def test_nothing_is_lost_or_used_twice_whenever_a_node_is_killed(tmp_path: Path) -> None:
    _log.info("KEYHOP_KILLS=%d KEYHOP_SEED=%d", KILLS, SEED)
    witness = Witness()
    with ForkedLab.running(tmp_path / "lab", fast_link()) as nodes, Saes.of(nodes.lab, witness) as saes:
        with at_work(saes, SEED, per_kme=1) as workers:
            plan = Plan(nodes, saes, workers, SEED, PACE)
            while plan.kills.total() < KILLS and not any(worker.failure for worker in workers):
                plan.crash()
        check_ledgers(nodes.lab)
        check_audit_logs(nodes.lab, witness)
        burnt = burnt_bytes(nodes.lab, saes, witness)
        assert taken_for_restored(nodes.lab) == []
    exchanges = sum(worker.exchanges for worker in workers)
    _log.info("kills: %s", dict(plan.kills))
    _log.info("%d keys, %d exchanges, burnt in all: %s", len(witness.keys), exchanges, burnt)
    _log.info("recovery in %.2f s (median), %.2f s (worst)", median(plan.recoveries_s), max(plan.recoveries_s))
    assert all(of_one / KILLS < BURNT_BYTES for of_one in burnt.values())
    assert exchanges > KILLS
