"""The system under test: a lab of two real nodes, and what SAEs ask of it.

alicesae asks alice for keys shared with bobsae (enc_keys); bobsae then asks bob for the same keys by their IDs
(dec_keys). So enc_keys costs alice, dec_keys costs bob, and each also costs the other one something.
"""

import itertools
import time
from dataclasses import replace
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
        """`limit` requests at most of alicesae at alice, of `number` keys each, with as much key in stock."""
        self.await_stock("alice", limit * number * KEY_BYTES)
        path = self._directory / f"enc-{number}"
        write_requests(path, [_enc_request(SLAVE, number)])
        return Order(self.target(MASTER), path, limit)

    def dec_keys(self, number: int, limit: int) -> Order:
        """`limit` requests at most of bobsae at bob, of `number` keys each, with IDs that alice just gave out."""
        ids = self._fresh_ids(limit * number)
        path = self._directory / f"dec-{number}"
        write_requests(path, (_dec_request(group) for group in itertools.batched(ids, number, strict=False)))
        return Order(self.target(SLAVE), path, limit)

    def mix(self, limit: int) -> Order:
        """`limit` requests at most of bobsae at bob, in turn for a fresh key and for one that alice just gave out."""
        ids = self._fresh_ids(-(-limit // 2))
        self.await_stock("bob", limit * KEY_BYTES)
        path = self._directory / "mix"
        fresh = _enc_request(MASTER, 1)
        write_requests(path, (request for key_id in ids for request in (fresh, _dec_request((key_id,)))))
        return Order(self.target(SLAVE), path, limit)

    def fetch_again(self, answers: Path) -> Order:
        """Every key of those answers once, one per request of bobsae at bob."""
        path = self._directory / "dec"
        ids = _ids(answers)
        write_requests(path, (_dec_request((key_id,)) for key_id in ids))
        return Order(self.target(SLAVE), path, len(ids))

    def await_stock(self, kme: str, wanted_bytes: int) -> None:
        """Returns once a node could give out so much."""
        deadline = time.monotonic() + STOCK_WAIT_S
        url = self._inventory.kme(kme).management_url + "/v1/streams"
        while True:
            streams = msgspec.json.decode(httpx.get(url, trust_env=False).content, type=list[_Stream])
            stock = sum(stream.available for stream in streams if stream.role == "owner")
            if stock >= wanted_bytes:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the link brought only {stock} of {wanted_bytes} bytes in {STOCK_WAIT_S:g} s")
            time.sleep(0.1)

    def _fresh_ids(self, count: int) -> list[str]:
        order = self.enc_keys(BATCH, -(-count // BATCH))
        answers = self._directory / "answers"
        load = self._generator.fetch(replace(order, answers=answers))
        if load.refused or load.requests < order.limit:
            raise RuntimeError(f"{load.refused} of {load.requests} requests for keys in bulk were refused")
        return _ids(answers)[:count]

    def _pid(self, kme: str) -> int:
        pid = self._inventory.kme(kme).pid
        assert pid is not None
        return pid


def get(path: str) -> bytes:
    """A GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n".encode()


def _enc_request(slave: str, number: int) -> bytes:
    return get(f"/api/v1/keys/{slave}/enc_keys" + (f"?number={number}" if number > 1 else ""))


def _ids(answers: Path) -> list[str]:
    with answers.open("rb") as lines:
        return [entry.key_ID for line in lines for entry in msgspec.json.decode(line, type=_Keys).keys]


def _dec_request(ids: tuple[str, ...]) -> bytes:
    body = b'{"key_IDs":[%b]}' % b",".join(b'{"key_ID":"%b"}' % key_id.encode() for key_id in ids)
    head = (
        f"POST /api/v1/keys/{MASTER}/dec_keys HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
