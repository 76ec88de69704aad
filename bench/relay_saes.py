"""SAEs of a lab on connections that stay open, and a chain of real nodes to ask."""

import http.client
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from keyhop.lab import Inventory, Lab, Topology, load_topology
from keyhop.lab.topology.model import Delay
from priority import session_first
from progress import say

CHAIN = Path(__file__).with_name("topologies") / "relay-chain.toml"
TIMEOUT_S = 30.0


class Refused(Exception):
    """A KME answered something else than keys."""


class Sae:
    """One application on one connection."""

    def __init__(self, inventory: Inventory, name: str) -> None:
        entry = inventory.sae(name)
        self.name = name
        context = ssl.create_default_context(cafile=inventory.ca)
        context.load_cert_chain(entry.cert, entry.key)
        address = urlsplit(inventory.kme(entry.kme).etsi014_url)
        self._connection = http.client.HTTPSConnection(
            str(address.hostname), address.port, context=context, timeout=TIMEOUT_S
        )

    def enc_keys(self, slave: str) -> str:
        """A fresh key's ID. Raises Refused."""
        return str(self._keys(f"/api/v1/keys/{slave}/enc_keys")["key_ID"])

    def dec_keys(self, master: str, key_id: str) -> None:
        """The same key. Raises Refused."""
        self._keys(f"/api/v1/keys/{master}/dec_keys?key_ID={key_id}")

    def status(self, slave: str) -> None:
        """What costs nothing but the request."""
        self._ask(f"/api/v1/keys/{slave}/status")

    def drain(self, target: str) -> None:
        """Asks for that, and does not look at the answer. Raises Refused."""
        self._connection.request("GET", target)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise Refused(body.decode())

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def _keys(self, target: str) -> dict[str, Any]:
        keys: list[dict[str, Any]] = self._ask(target)["keys"]
        return keys[0]

    def _ask(self, target: str) -> Any:
        self._connection.request("GET", target)
        response = self._connection.getresponse()
        body = json.loads(response.read())
        if response.status != 200:
            raise Refused(body["message"])
        return body


def chain(relay: dict[str, Any], ocean_ms: float = 0.0, policy: dict[str, Any] | None = None) -> Topology:
    """Five nodes in a row; `ocean_ms` is the one-way delay between the first and all others."""
    topology = load_topology(CHAIN)
    first, *others = topology.kme_ids()
    delays = tuple(Delay((first, other), ocean_ms) for other in others) if ocean_ms else ()
    return msgspec.structs.replace(topology, relay=relay, delays=delays, policy=policy or {})


@contextmanager
def lab(topology: Topology) -> Iterator[Lab]:
    """Real nodes that do not outlive the block."""
    with TemporaryDirectory(prefix="keyhop-bench-") as directory:
        running = Lab.up(topology, Path(directory), progress=say)
        say("")
        try:
            for node in running.inventory().kmes:
                assert node.pid is not None
                session_first(node.pid)
            yield running
        finally:
            running.down()


def await_stock(lab: Lab, kme: str, peer: str, wanted_bytes: int, patience_s: float = 60.0) -> None:
    """Returns once `kme` could give out so much for `peer`. Raises RuntimeError."""
    url = lab.inventory().kme(kme).management_url + "/v1/streams"
    deadline = time.monotonic() + patience_s
    while True:
        streams = httpx.get(url, trust_env=False, timeout=TIMEOUT_S).json()
        stock = sum(s["available"] for s in streams if s["role"] == "owner" and s["follower"] == peer)
        if stock >= wanted_bytes:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"{kme} got only {stock} of {wanted_bytes} bytes for {peer}")
        time.sleep(0.1)
