"""The key exchange of the Wells Fargo QKD case study (September 2024, phase A: "Key delivery between Toshiba devices").

The master gets a key from its own KME and sends the key ID, nothing else, to the slave; that one fetches the
same key from its own KME. Both are compared here without either being shown.
"""

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Self
from uuid import UUID

from keyhop.apps.client import BadRequest, Client, Status, mutual_tls
from keyhop.core.errors import KeyhopError
from keyhop.lab.inventory import Inventory


class CheckFailed(KeyhopError):
    """The network did not do what it promises."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One key that both ends hold now; the times are those that each SAE waited, in seconds."""

    master: str
    slave: str
    key_id: UUID
    size_bits: int
    get_s: float
    fetch_s: float


class Applications:
    """SAEs of a lab, each with its own certificate and a connection to its own KME."""

    def __init__(self, clients: dict[str, Client]) -> None:
        self._clients = clients

    @classmethod
    @contextmanager
    def connected(cls, inventory: Inventory, *saes: str) -> Iterator[Self]:
        """The SAEs of those IDs."""
        with ExitStack() as stack:
            clients = {}
            for sae in saes:
                entry = inventory.sae(sae)
                tls = mutual_tls(ca=inventory.ca, certificate=entry.cert, key=entry.key)
                clients[sae] = stack.enter_context(Client(inventory.home(sae).etsi014_url, tls))
            yield cls(clients)

    def status(self, master: str, slave: str) -> Status:
        """What the master's KME says of the pair."""
        return self._clients[master].get_status(slave)

    def exchange(self, master: str, slave: str) -> Exchange:
        """Get, carry the key ID across, fetch, compare. Raises ClientError and CheckFailed."""
        (got,), get_s = _timed(lambda: self._clients[master].get_key(slave).keys)
        carried = got.key_id
        (fetched,), fetch_s = _timed(lambda: self._clients[slave].get_key_with_ids(master, [carried]).keys)
        if fetched.key_id != carried or fetched.secret != got.secret:
            raise CheckFailed(f"{master} and {slave} hold different keys under {carried}")
        return Exchange(master, slave, carried, got.size_bits, get_s, fetch_s)

    def check_spent(self, done: Exchange) -> None:
        """A key is delivered once: the slave is refused a second time. Raises CheckFailed."""
        try:
            self._clients[done.slave].get_key_with_ids(done.master, [done.key_id])
        except BadRequest:
            return
        raise CheckFailed(f"{done.slave} was given the key {done.key_id} twice")


@dataclass(frozen=True, slots=True)
class Latency:
    """Medians over `keys` exchanges, in milliseconds."""

    keys: int
    get_ms: float
    fetch_ms: float


def latency(exchanges: list[Exchange]) -> Latency:
    """How long the SAEs waited. Raises CheckFailed when two keys share an ID."""
    if len({done.key_id for done in exchanges}) != len(exchanges):
        raise CheckFailed("two keys have the same ID")
    get_ms, fetch_ms = (1000 * median(times) for times in zip(*((e.get_s, e.fetch_s) for e in exchanges), strict=True))
    return Latency(len(exchanges), get_ms, fetch_ms)


def by_hand(inventory: Inventory, master: str, slave: str) -> list[tuple[str, str]]:
    """The exchange as shell lines to paste, each with what it does."""
    master_curl, slave_curl = (
        shlex.join(["curl", "-sS", "--cacert", inventory.ca, "--cert", sae.cert, "--key", sae.key])
        for sae in (inventory.sae(master), inventory.sae(slave))
    )
    at_master = f"{inventory.home(master).etsi014_url}/api/v1/keys/{slave}"
    at_slave = f"{inventory.home(slave).etsi014_url}/api/v1/keys/{master}"
    take_id = r"""sed -n 's/.*"key_ID": *"\([^"]*\)".*/\1/p'"""
    return [
        (f"{master}: the state of its keys with {slave}", f"{master_curl} {at_master}/status"),
        (f"{master}: get a key", f'answer=$({master_curl} {at_master}/enc_keys); echo "$answer"'),
        ("only the key ID crosses", f'key_ID=$(echo "$answer" | {take_id})'),
        (f"{slave}: fetch the same key", f'{slave_curl} "{at_slave}/dec_keys?key_ID=$key_ID"'),
    ]


def _timed[T](call: Callable[[], T]) -> tuple[T, float]:
    begin = time.perf_counter()
    result = call()
    return result, time.perf_counter() - begin
