"""What the SAEs of a real network saw, held against what was promised; and SAEs that work while things break.

The witness knows keys, IDs and answers, and nothing of streams. It keeps every unit of eight bytes that was ever
handed out, so a byte that comes under a second ID is found out whatever came between.
"""

import os
import random
import select
import signal
import threading
from collections.abc import Iterator, Sequence, Set
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

import httpx

from keyhop.apps.client import BadRequest, Client, Key, TransportError, Unavailable, mutual_tls
from keyhop.core.units import UNIT_BYTES, units_for
from keyhop.lab import Inventory, Lab
from keyhop.testing.material import STREAM_ID_VERSION
from keyhop.testing.violation import Violation

SIZES_BITS = (64, 72, 200, 256, 256, 256, 1000, 2048, 8192)
PAUSE_S = 0.01
"""Between exchanges, so that the SAEs leave the processor to the nodes."""
RETRY_S = 0.05
STOPPED_S = 15.0
STORE_FAILED = ("the KME's store has failed and the KME is stopping", "the KME cannot serve keys now")


@dataclass(slots=True)
class Seen:
    """A key that a master got, and what became of it at each slave."""

    master: str
    slaves: tuple[str, ...]
    secret: bytes = field(repr=False)
    fetched: set[str] = field(default_factory=set)
    in_doubt: set[str] = field(default_factory=set)


class Witness:
    """Hears of every answer. Raises Violation; safe to use from many threads."""

    def __init__(self) -> None:
        self.keys: dict[UUID, Seen] = {}
        self._units: dict[bytes, UUID] = {}
        self._lock = threading.Lock()

    def master_got(self, master: str, slaves: tuple[str, ...], keys: Sequence[Key]) -> None:
        """An enc_keys request was answered."""
        with self._lock:
            for key in keys:
                if key.key_id in self.keys:
                    raise Violation(2, "an ID was given out twice")
                secret = key.secret.reveal()
                self.keys[key.key_id] = Seen(master, slaves, secret)
                for at in range(0, len(secret) - UNIT_BYTES + 1, UNIT_BYTES):
                    other = self._units.setdefault(secret[at : at + UNIT_BYTES], key.key_id)
                    if other != key.key_id:
                        raise Violation(2, f"the keys {other} and {key.key_id} share bytes")

    def slave_got(self, slave: str, keys: Sequence[Key]) -> None:
        """A dec_keys request was answered."""
        with self._lock:
            for key in keys:
                seen = self.keys[key.key_id]
                if slave in seen.fetched:
                    raise Violation(3, f"{slave} got the key {key.key_id} twice")
                if key.secret.reveal() != seen.secret:
                    raise Violation(1, f"the two ends of {key.key_id} got different bytes")
                seen.fetched.add(slave)

    def unanswered(self, slave: str, key_ids: Sequence[UUID]) -> None:
        """A dec_keys request got no answer: whether the keys were spent on it is not known."""
        with self._lock:
            for key_id in key_ids:
                self.keys[key_id].in_doubt.add(slave)

    def refused(self, slave: str, key_ids: Sequence[UUID]) -> None:
        """A dec_keys request for keys that this slave had not fetched was told that one of them is not there."""
        with self._lock:
            if not any(slave in self.keys[key_id].in_doubt for key_id in key_ids):
                raise Violation(5, f"{slave} was refused a key that its master was given")

    def fetched_bytes(self, masters: Set[str]) -> tuple[int, int]:
        """Stream bytes that slaves got of these masters' keys: at least, and (counting doubtful ones) at most."""
        seen = self._stream_keys(masters)
        sure = sum(len(key.secret) for key in seen if key.fetched)
        return sure, sure + sum(len(key.secret) for key in seen if key.in_doubt and not key.fetched)

    def given_bytes(self, masters: Set[str]) -> int:
        """Stream bytes that these masters got, in whole units."""
        return sum(units_for(len(key.secret)) * UNIT_BYTES for key in self._stream_keys(masters))

    def _stream_keys(self, masters: Set[str]) -> list[Seen]:
        return [s for key_id, s in self.keys.items() if key_id.version == STREAM_ID_VERSION and s.master in masters]


class Saes:
    """All SAEs of a lab, each with connections of its own to its own KME; `reasons` are those they got with a 503."""

    def __init__(self, inventory: Inventory, clients: dict[str, Client], witness: Witness) -> None:
        self._clients = clients
        self._witness = witness
        self.reasons: set[str] = set()
        self.homes = {sae.id: sae.kme for sae in inventory.saes}

    @classmethod
    @contextmanager
    def of(cls, lab: Lab, witness: Witness) -> Iterator[Self]:
        """The SAEs of a lab."""
        inventory = lab.inventory()
        with ExitStack() as stack:
            clients = {}
            for sae in inventory.saes:
                tls = mutual_tls(ca=inventory.ca, certificate=sae.cert, key=sae.key)
                clients[sae.id] = stack.enter_context(Client(inventory.home(sae.id).etsi014_url, tls))
            yield cls(inventory, clients, witness)

    def get(self, master: str, slaves: tuple[str, ...], size_bits: int = 256, number: int = 1) -> list[UUID]:
        """enc_keys: the IDs of new keys; none when it was not served."""
        try:
            got = self._clients[master].get_key(
                slaves[0], size_bits=size_bits, number=number, additional_slaves=slaves[1:]
            )
        except TransportError:
            return []
        except Unavailable as refusal:
            self.reasons.add(refusal.message)
            return []
        self._witness.master_got(master, slaves, got.keys)
        return [key.key_id for key in got.keys]

    def fetch(self, slave: str, key_ids: Sequence[UUID]) -> bool | None:
        """dec_keys: whether the slave got them; None when the KME did not say. Raises BadRequest."""
        master = self._witness.keys[key_ids[0]].master
        try:
            got = self._clients[slave].get_key_with_ids(master, key_ids)
        except TransportError:
            self._witness.unanswered(slave, key_ids)
            return None
        except Unavailable as refusal:
            self.reasons.add(refusal.message)
            if refusal.message in STORE_FAILED:  # it may be on the disk all the same
                self._witness.unanswered(slave, key_ids)
            return False
        self._witness.slave_got(slave, got.keys)
        return True

    def must_fetch(self, slave: str, key_ids: Sequence[UUID]) -> bool | None:
        """dec_keys for keys that were given to the master and never fetched: a refusal breaks a promise."""
        try:
            return self.fetch(slave, key_ids)
        except BadRequest:
            self._witness.refused(slave, key_ids)
            return None

    def must_be_refused(self, slave: str, key_id: UUID) -> None:
        """dec_keys for a key that the slave has had (if it comes, the witness finds that out)."""
        with suppress(BadRequest):
            self.fetch(slave, [key_id])


class Worker(threading.Thread):
    """SAEs of one KME as masters, and whoever they share keys with, at work until told to stop.

    Some keys are held back in `held` (slave, ID) for whoever wants to see them fetched later, and `spent` names
    those that were fetched of late.
    """

    def __init__(self, saes: Saes, kme: str, seed: int, stop: threading.Event, pause_s: float = PAUSE_S) -> None:
        super().__init__(name=f"worker at {kme}")
        self._saes = saes
        self._masters = [sae for sae, home in saes.homes.items() if home == kme]
        self._slaves = [sae for sae, home in saes.homes.items() if home != kme]
        self._random = random.Random(seed)
        self._stop_asked = stop
        self._pause_s = pause_s
        self.held: list[tuple[str, UUID]] = []
        self.spent: list[tuple[str, UUID]] = []
        self.exchanges = 0
        self.failure: Violation | None = None

    def run(self) -> None:
        try:
            while not self._stop_asked.wait(self._pause_s):
                self._exchange()
        except Violation as violation:
            self.failure = violation
            self._stop_asked.set()

    def _exchange(self) -> None:
        draw = self._random
        master, *colleagues = draw.sample(self._masters, len(self._masters))
        slaves = tuple(draw.sample(self._slaves, 1))
        match draw.choices(("stream", "multicast", "at home"), (8, 1, 1))[0]:
            case "multicast":
                slaves = (*slaves, *colleagues[:1], *set(draw.sample(self._slaves, 1)).difference(slaves))
            case "at home":
                slaves = (colleagues[0],)
        number = draw.choice((1, 1, 1, 2, 7, 20))
        key_ids = self._saes.get(master, slaves, draw.choice(SIZES_BITS), number)
        if not key_ids:
            self._stop_asked.wait(RETRY_S)
        elif draw.random() < 0.15:
            self.held += [(slave, key_ids[0]) for slave in slaves]
        else:
            for slave in slaves:
                self._fetch_all(slave, key_ids)
            self.exchanges += 1

    def _fetch_all(self, slave: str, key_ids: list[UUID]) -> None:
        """All at once, or in two parts, the second first. What is not served now is held for later."""
        cut = self._random.choice((0, 0, len(key_ids) // 2))
        for part in filter(None, (key_ids[cut:], key_ids[:cut])):
            match self._saes.must_fetch(slave, part):
                case True:
                    self.spent.append((slave, part[-1]))
                case False:
                    self.held.append((slave, part[0]))


@contextmanager
def at_work(saes: Saes, seed: int, per_kme: int = 1, pause_s: float = PAUSE_S) -> Iterator[list[Worker]]:
    """Workers at every KME while the block runs; what they found out is raised at its end."""
    stop = threading.Event()
    kmes = sorted(set(saes.homes.values())) * per_kme
    workers = [Worker(saes, kme, seed + i, stop, pause_s) for i, kme in enumerate(kmes)]
    for worker in workers:
        worker.start()
    try:
        yield workers
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    for worker in workers:
        if worker.failure:
            raise worker.failure


def streams(lab: Lab, kme: str) -> list[dict[str, Any]]:
    """GET /v1/streams of a node."""
    url = lab.inventory().kme(kme).management_url + "/v1/streams"
    found: list[dict[str, Any]] = httpx.get(url, trust_env=False).raise_for_status().json()
    return found


def epochs(lab: Lab) -> dict[tuple[str, str], int]:
    """The epoch of each stream (owner, follower), as its owner sees it."""
    ends = [end for kme in lab.inventory().kmes for end in streams(lab, kme.id)]
    return {(end["owner"], end["follower"]): end["epoch"] for end in ends if end["role"] == "owner"}


def check_ledgers(lab: Lab) -> None:
    """Every byte at both ends of every stream is accounted for. Raises Violation."""
    for kme in lab.inventory().kmes:
        for end in streams(lab, kme.id):
            if not end["balanced"]:
                raise Violation(0, f"the ledger of {end['owner']}→{end['follower']} at {kme.id} does not balance")


def stop(lab: Lab, kme: str) -> None:
    """Stops one node in order."""
    pid = lab.inventory().kme(kme).pid
    assert pid is not None, f"{kme} does not run"
    pidfd = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        assert select.select([pidfd], [], [], STOPPED_S)[0], f"{kme} did not stop"
    finally:
        os.close(pidfd)
