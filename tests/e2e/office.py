"""SAEs at both sites with keys of every kind, some of them fetched and some not, whatever happens to the nodes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self
from uuid import UUID

from crashing import fast_link
from forked_lab import ForkedLab
from witness import Saes, Witness, check_ledgers

from keyhop.apps.client import BadRequest

SERVED_S = 10.0


class Office:
    """SAEs that get keys of every kind in both directions, fetch some, and keep the IDs of the others."""

    def __init__(self, nodes: ForkedLab, saes: Saes) -> None:
        self.nodes = nodes
        self.saes = saes
        self.fetched: list[tuple[str, UUID]] = []
        self.held: list[tuple[str, UUID]] = []

    @classmethod
    @contextmanager
    def open(cls, directory: Path, *, witness: bool) -> Iterator[Self]:
        """In a lab of its own, whose nodes have witnesses or none."""
        with (
            ForkedLab.running(directory, fast_link(), witness=witness) as nodes,
            Saes.of(nodes.lab, Witness()) as saes,
        ):
            yield cls(nodes, saes)

    def work(self) -> None:
        """Streams both ways, multicast, and keys within one site: of each, one is fetched and one is held."""
        for here, there in (("alice", "bob"), ("bob", "alice")):
            master, colleague, partner = f"{here}sae", f"{here}sae2", f"{there}sae"
            self._share(master, (partner,), size_bits=256, number=4)
            self._share(master, (partner,), size_bits=200)
            self._share(master, (colleague,))
            self._share(master, (partner, colleague))

    def work_for(self, seconds: float) -> None:
        """Works on."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.work()

    def settle(self) -> None:
        """What was fetched since this was last asked does not come again; what was held comes as it was, or never."""
        fetched, self.fetched = self.fetched, []
        for slave, key_id in fetched:
            with suppress(BadRequest):
                self._answered(slave, [key_id])
        self.fetch_held()

    def fetch_held(self) -> int:
        """How many of the keys that were held came, each as it was."""
        held, self.held = self.held, []
        before = len(self.fetched)
        for slave, key_id in held:
            with suppress(BadRequest):
                self._answered(slave, [key_id])
                self.fetched.append((slave, key_id))
        return len(self.fetched) - before

    def close_down(self) -> None:
        """After everything: nothing comes twice, it works on, and the books balance."""
        self.nodes.all_ready()
        self.settle()
        self.work()
        self.settle()
        check_ledgers(self.nodes.lab)

    def _share(self, master: str, slaves: tuple[str, ...], size_bits: int = 256, number: int = 2) -> None:
        deadline = time.monotonic() + SERVED_S
        while not (key_ids := self.saes.get(master, slaves, size_bits, number)):
            assert time.monotonic() < deadline, f"{master} is not served"
        for slave in slaves:
            self._answered(slave, key_ids[1:])
            self.fetched += [(slave, key_id) for key_id in key_ids[1:]]
            self.held.append((slave, key_ids[0]))

    def _answered(self, slave: str, key_ids: list[UUID]) -> None:
        deadline = time.monotonic() + SERVED_S
        while not self.saes.fetch(slave, key_ids):
            assert time.monotonic() < deadline, f"{slave} is not served"
