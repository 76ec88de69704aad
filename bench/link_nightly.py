"""Whether much key is alike at both ends and random: .venv/bin/python bench/link_nightly.py [--bits N] [--loss-db 2]

Two real nodes with a bb84 link over loopback TLS; an SAE takes keys from one, its partner the same keys from the other.
What both got is compared bit for bit and put to SP 800-22. Exits with 1 when anything is amiss.
"""

import argparse
import base64
import math
import ssl
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from http.client import HTTPSConnection
from pathlib import Path

import httpx
import msgspec
import numpy as np

from keyhop.lab import Inventory, Lab, Topology
from keyhop.lab.topology import Sae
from keyhop.testing.randomness import LEAST_OF_TWO, SEQUENCE_BITS, judge, p_values
from link import line
from link_lab import FIRST_BLOCKS_S
from progress import say

MASTER, SLAVE = "alicesae", "bobsae"
KEY_BYTES = 1024
KEYS = 128
"""In a request."""

PAUSE_S = 0.2
"""While there is no key."""


class _Key(msgspec.Struct):
    key_ID: str  # noqa: N815 (the wire's spelling)
    key: str


class _Keys(msgspec.Struct):
    keys: list[_Key]


class Taker:
    """An SAE that takes keys by ETSI 014 on one connection."""

    def __init__(self, inventory: Inventory, sae: str, partner: str) -> None:
        entry, url = inventory.sae(sae), httpx.URL(inventory.home(sae).etsi014_url)
        context = ssl.create_default_context(cafile=inventory.ca)
        context.check_hostname = False
        context.load_cert_chain(entry.cert, entry.key)
        self._connection = HTTPSConnection(url.host, url.port, context=context)
        self._path = f"/api/v1/keys/{partner}"

    def fresh(self) -> list[_Key]:
        """Keys that nobody had; none while there are too few."""
        return self._post("enc_keys", {"number": KEYS, "size": 8 * KEY_BYTES}, may_lack=True)

    def same(self, keys: list[_Key]) -> list[_Key]:
        """What this end has under their IDs."""
        return self._post("dec_keys", {"key_IDs": [{"key_ID": key.key_ID} for key in keys]})

    def _post(self, what: str, body: object, *, may_lack: bool = False) -> list[_Key]:
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", f"{self._path}/{what}", msgspec.json.encode(body), headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status == 503 and may_lack:
            return []
        if answer.status != 200:
            raise SystemExit(f"error: {what} was answered with {answer.status}: {content[:200]!r}")
        return msgspec.json.decode(content, type=_Keys).keys


def main() -> None:
    """Prints what it found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--bits", type=float, default=1e8, help="secret bits to compare and to test (default 1e8)")
    parser.add_argument("--loss-db", type=float, choices=(2.0, 10.0), default=2.0)
    options = parser.parse_args()
    with ProcessPoolExecutor() as testers:
        pending = []
        begin_s, seen = time.monotonic(), 0
        for bits in sequences(options.loss_db, int(options.bits)):
            pending.append(testers.submit(p_values, bits))
            seen += len(bits)
            say(f"{seen / 1e6:.0f} of {options.bits / 1e6:.0f} Mbit in {time.monotonic() - begin_s:.0f} s")
        _row("secret bits, taken at both nodes and alike", f"{seen:,} in {time.monotonic() - begin_s:.0f} s")
        say("waiting for the tests")
        found = [each.result() for each in pending]
    good = [_judged(name, [values[name] for values in found]) for name in found[0]]
    say("")
    raise SystemExit(0 if all(good) else 1)


def sequences(loss_db: float, wanted: int) -> Iterator[np.ndarray[tuple[int], np.dtype[np.uint8]]]:
    """So many bits at least, which both SAEs got, in sequences of SEQUENCE_BITS."""
    bare = line(loss_db)
    topology = Topology(kmes=bare.kmes, links=bare.links, saes=(Sae(MASTER, "alice"), Sae(SLAVE, "bob")))
    with tempfile.TemporaryDirectory(prefix="keyhop-nightly-") as directory:
        lab = Lab.up(topology, Path(directory) / "lab", timeout_s=FIRST_BLOCKS_S, progress=say)
        try:
            master = Taker(lab.inventory(), MASTER, SLAVE)
            slave = Taker(lab.inventory(), SLAVE, MASTER)
            gathered = bytearray()
            for _ in range(-(-wanted // SEQUENCE_BITS)):
                while len(gathered) < SEQUENCE_BITS // 8:
                    gathered += _alike(master, slave)
                yield np.unpackbits(np.frombuffer(bytes(gathered[: SEQUENCE_BITS // 8]), np.uint8))
                del gathered[: SEQUENCE_BITS // 8]
        finally:
            lab.down()


def _alike(master: Taker, slave: Taker) -> bytes:
    keys = master.fresh()
    if not keys:
        time.sleep(PAUSE_S)
        return b""
    if slave.same(keys) != keys:
        raise SystemExit("error: the two nodes do not have the same keys")
    return b"".join(base64.b64decode(key.key) for key in keys)


def _judged(name: str, found: list[float]) -> bool:
    judgement = judge(name, found)
    uniformity = "" if judgement.uniformity is None else f", uniformity {judgement.uniformity:.3f}"
    lesser = " (lesser of two, doubled)" if name in LEAST_OF_TWO else ""
    verdict = "  FAILED" if not judgement.good else "" if judgement.usual else "  few"
    figure = (
        f"{judgement.passed} of {judgement.sequences} pass [{math.ceil(judgement.least_passed)}]{uniformity}{verdict}"
    )
    _row(name + lesser, figure)
    return judgement.good


def _row(label: str, figure: str) -> None:
    say("")
    print(f"  {label:<64} {figure}", flush=True)


if __name__ == "__main__":
    main()
