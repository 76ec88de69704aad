"""Every link and every node of `metro` fails while SAEs work: .venv/bin/python bench/metro_faults.py [--seed S]

Each link is cut and mended, each node killed with `kill -9` and started again, one after the other. Meanwhile an SAE at
each site shares keys of all sizes with others, and once at the start and after each fault every two sites that are up
share a key: printed is how long that took, tried again and again, both requests included. No key may be wrong or come
twice, and none that its master has may be refused to its slave. Ends with 1 when a promise was broken.

With `--buffering on-demand` no stock helps: keys between sites without a link are relayed when they are asked for.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median

import msgspec

from measure import busy_s, cpu_s
from priority import go_first, session_first
from progress import say

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "e2e"))

from witness import Saes, Witness, at_work, check_ledgers

from keyhop.lab import Lab, load_topology
from keyhop.node.state import Disturbance
from keyhop.testing.violation import Violation

AIM_S = 5.0
PATIENCE_S = 60.0
PAUSE_S = 0.25
"""Between two exchanges of an SAE: twelve nodes and their SAEs share the machine."""
COLUMNS = ("fails", "at s", "pairs", "median s", "longest s", "neighbours")


def main() -> None:
    """Breaks everything once, prints a row for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--buffering", choices=("prefetch", "on-demand"), default="prefetch", help="of relayed keys")
    parser.add_argument("--seed", type=int, default=0, help="of what the SAEs do")
    options = parser.parse_args()
    seed = options.seed or random.SystemRandom().randrange(1, 1 << 31)
    shipped = load_topology("metro")
    topology = msgspec.structs.replace(shipped, relay=shipped.relay | {"buffering": options.buffering})
    with tempfile.TemporaryDirectory(prefix="keyhop-metro-") as directory:
        go_first()
        lab = Lab.up(topology, Path(directory), progress=say)
        say("")
        try:
            _break_everything(lab, seed)
        except Violation as violation:
            print(f"a promise was broken (seed {seed}): {violation}")
            sys.exit(1)
        finally:
            lab.down()


def _break_everything(lab: Lab, seed: int) -> None:
    witness, took, ready_at = Witness(), [], time.monotonic()
    for pid in _pids(lab):
        session_first(pid)
    print(*COLUMNS, sep="\t", flush=True)
    with Saes.of(lab, witness) as saes, Saes.of(lab, witness) as probing:
        with at_work(saes, seed, pause_s=PAUSE_S) as workers:
            sites = Sites(lab, probing, ready_at)
            took.append(sites.break_and_watch("nothing", lambda: None))
            for link in lab.links():
                took.append(sites.break_and_watch(f"link {link}", partial(_cut, lab, link, True)))
                _cut(lab, link, False)
            for kme in sites.names:
                took.append(sites.break_and_watch(f"node {kme}", partial(lab.kill, kme), dead=kme))
                session_first(lab.start(kme))
        check_ledgers(lab)
    exchanges = sum(worker.exchanges for worker in workers)
    print(f"{len(took) - 1} faults, {len(witness.keys)} keys, {exchanges} exchanges of SAEs at work, all as promised")
    print(f"longest {max(took):.2f} s; aim {AIM_S:g} s: {'met' if max(took) <= AIM_S else 'missed'}")
    print("SAEs were told:", *sorted(saes.reasons | probing.reasons), sep="\n  ")


def _cut(lab: Lab, link: str, cut: bool) -> None:
    lab.disturb(link, lambda now: Disturbance(cut=cut))


class Sites:
    """An SAE of each site that looks whether it is served. All nodes were ready at `ready_at` (monotonic seconds)."""

    def __init__(self, lab: Lab, saes: Saes, ready_at: float) -> None:
        self._lab = lab
        self._saes = saes
        self._ready_at = ready_at
        self.names = list(dict.fromkeys(saes.homes.values()))

    def break_and_watch(self, what: str, break_it: Callable[[], None], dead: str | None = None) -> float:
        """Breaks something; the longest time in seconds in which two sites that are up shared no key. Violation."""
        up = [name for name in self.names if name != dead]
        break_it()
        pids = [os.getpid(), *_pids(self._lab)]
        begin, elsewhere = time.monotonic(), _elsewhere_s(pids)
        with ThreadPoolExecutor(len(up)) as pool:
            waits = [wait for found in pool.map(partial(self._waits, up), up) for wait in found]
        cores_s = (time.monotonic() - begin) * (os.cpu_count() or 1)
        neighbours = max(0.0, _elsewhere_s(pids) - elsewhere) / cores_s
        figures = (f"{begin - self._ready_at:.1f}", len(waits), f"{median(waits):.3f}", f"{max(waits):.2f}")
        print(what, *figures, f"{neighbours:.0%}", sep="\t", flush=True)
        return max(waits)

    def _waits(self, up: Sequence[str], here: str) -> list[float]:
        """How long it took until an SAE here and one at each other site shared a key, one site after the other."""
        waits = []
        for there in (name for name in up if name != here):
            begin = time.monotonic()
            while not self._serves(here, there):
                if time.monotonic() - begin > PATIENCE_S:
                    raise Violation(0, f"{here} and {there} are not served: {sorted(self._saes.reasons)}")
            waits.append(time.monotonic() - begin)
        return waits

    def _serves(self, here: str, there: str) -> bool:
        key_ids = self._saes.get(f"{here}-1", (f"{there}-2",))
        return bool(key_ids) and bool(self._saes.must_fetch(f"{there}-2", key_ids))


def _pids(lab: Lab) -> list[int]:
    """Of the nodes that run."""
    return [kme.pid for kme in lab.inventory().kmes if kme.pid is not None]


def _elsewhere_s(pids: Sequence[int]) -> float:
    """CPU time that was not these processes'."""
    return busy_s() - sum(map(cpu_s, pids))


if __name__ == "__main__":
    main()
