"""The system under test: a lab of two real nodes, and what SAEs ask of it.

alicesae asks alice for keys shared with bobsae (enc_keys); bobsae then asks bob for the same keys by their IDs
(dec_keys). So enc_keys costs alice, dec_keys costs bob, and each also costs the other one something.
"""

import itertools
import time
from pathlib import Path

import httpx
import msgspec

from keyhop.lab import Inventory, Lab
from load import LoadGenerator, Order, Target, write_requests

MASTER, SLAVE = "alicesae", "bobsae"
KEY_BYTES = 32
BATCH = 1000
STOCK_WAIT_S = 30.0


class _Entry(msgspec.Struct):
    key_ID: str  # noqa: N815 (the wire's spelling)


class _Keys(msgspec.Struct):
    keys: list[_Entry]


class _Stream(msgspec.Struct):
    owner: str
    role: str
    available: int


class Sites:
    """Orders for the two nodes. Files go to `directory`."""

    def __init__(self, lab: Lab, generator: LoadGenerator, directory: Path) -> None:
        self._inventory: Inventory = lab.inventory()
        self._generator = generator
        self._directory = directory
        self.alice, self.bob = self._pid("alice"), self._pid("bob")

    def target(self, sae: str, port: int | None = None) -> Target:
        """The SAE's own KME, or another server that it talks to with the same certificate."""
        entry = self._inventory.sae(sae)
        url = httpx.URL(self._inventory.home(sae).etsi014_url)
        port = port or url.port
        assert port is not None
        return Target(port, self._inventory.ca, entry.cert, entry.key)

    def enc_keys(self, number: int, limit: int) -> Order:
        """`limit` requests at most, of `number` keys each, with as much key in stock."""
        self._await_stock(limit * number * KEY_BYTES)
        path = self._directory / f"enc-{number}"
        query = f"?number={number}" if number > 1 else ""
        write_requests(path, [get(f"/api/v1/keys/{SLAVE}/enc_keys{query}")])
        return Order(self.target(MASTER), path, limit)

    def dec_keys(self, number: int, limit: int) -> Order:
        """`limit` requests at most, of `number` keys each, with IDs that alice gave out just before."""
        ids = self._fresh_ids(limit * number)
        path = self._directory / f"dec-{number}"
        write_requests(path, (_dec_request(group) for group in itertools.batched(ids, number, strict=False)))
        return Order(self.target(SLAVE), path, limit)

    def _fresh_ids(self, count: int) -> list[str]:
        order = self.enc_keys(BATCH, -(-count // BATCH))
        answers = self._directory / "answers"
        load = self._generator.fetch(Order(order.target, order.requests, order.limit, answers))
        if load.refused or load.requests < order.limit:
            raise RuntimeError(f"{load.refused} of {load.requests} requests for keys in bulk were refused")
        with answers.open("rb") as lines:
            keys = (entry.key_ID for line in lines for entry in msgspec.json.decode(line, type=_Keys).keys)
            ids = list(itertools.islice(keys, count))
        answers.unlink()
        return ids

    def _await_stock(self, wanted_bytes: int) -> None:
        deadline = time.monotonic() + STOCK_WAIT_S
        url = self._inventory.kme("alice").management_url + "/v1/streams"
        while True:
            streams = msgspec.json.decode(httpx.get(url, trust_env=False).content, type=list[_Stream])
            stock = sum(stream.available for stream in streams if stream.role == "owner")
            if stock >= wanted_bytes:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the link brought only {stock} of {wanted_bytes} bytes in {STOCK_WAIT_S:g} s")
            time.sleep(0.1)

    def _pid(self, kme: str) -> int:
        pid = self._inventory.kme(kme).pid
        assert pid is not None
        return pid


def get(path: str) -> bytes:
    """A GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n".encode()


def _dec_request(ids: tuple[str, ...]) -> bytes:
    body = b'{"key_IDs":[%b]}' % b",".join(b'{"key_ID":"%b"}' % key_id.encode() for key_id in ids)
    head = (
        f"POST /api/v1/keys/{MASTER}/dec_keys HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
