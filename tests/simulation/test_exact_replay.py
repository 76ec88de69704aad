"""A seed stands for one run, to the last byte: in this process, in another one, and on any day."""

import os
import subprocess
import sys

import pytest

from keyhop.testing.simulation import draw, run

SEEDS = (1, 6, 8, 14, 29, 43)
PRINT_DIGESTS = """
import sys
from keyhop.testing.simulation import draw, run
for seed in sys.argv[1:]:
    print(run(draw(int(seed))).trace.digest())
"""


def digests() -> list[str]:
    return [run(draw(seed)).trace.digest() for seed in SEEDS]


def test_a_seed_is_a_run() -> None:
    first = digests()
    assert digests() == first
    assert len(set(first)) == len(SEEDS)
    assert {draw(seed).setting.disk for seed in SEEDS} == {"fast", "sqlite"}


@pytest.mark.parametrize("hash_seed", ["0", "1", "4711"])
def test_another_process_sees_the_same(hash_seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", PRINT_DIGESTS, *map(str, SEEDS)]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert output.split() == digests()


def test_what_is_left_of_a_schedule_draws_the_same_details() -> None:
    schedule = draw(3)
    kept = range(0, len(schedule.actions), 2)
    asked = [entry.details for entry in run(schedule, kept).trace.entries if entry.what == "action"]
    assert asked == [(index, schedule.actions[index].name) for index in kept]
