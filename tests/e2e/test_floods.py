"""Under each flood an honest SAE gets its keys, the node's memory stays within its cap, and nothing is left behind.

bench/floods.py says how long the honest SAE has to wait; here nothing depends on how fast the machine is.
"""

import base64
import http.client
import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from callers import Caller, ask
from flood import Flood, attackers

from keyhop.lab import Lab
from keyhop.lab.topology import Kme, Link, Sae, Topology

# More of them than handshakes may be pending (256) and than one SAE may have connections (128).
STALLED, STALLED_PER_S = 400, 1000.0
AT_ONCE = 8
MANY_OF_ONE_SAE = 32
REQUESTS = 150
CAP_MIB = 96
RELEASED_S = 20.0

FLOODS = (
    Flood("silent", STALLED, STALLED_PER_S),
    Flood("half-handshake", STALLED, STALLED_PER_S),
    Flood("half-request", STALLED, STALLED_PER_S),
    Flood("handshake", AT_ONCE, rounds=10),
    Flood("nameless", AT_ONCE, rounds=10),
    Flood("aborted-handshake", AT_ONCE, rounds=10),
    Flood("endless-body", AT_ONCE, rounds=3),
    Flood("endless-chunks", AT_ONCE, rounds=3),
    Flood("endless-head", AT_ONCE, rounds=3),
    Flood("costly-bodies", MANY_OF_ONE_SAE),
    Flood("greedy", MANY_OF_ONE_SAE),
)
TOPOLOGY = Topology(
    kmes=(Kme("alice"), Kme("bob")),
    saes=(Sae("alicesae", "alice"), Sae("bobsae", "bob"), Sae("evesae", "alice")),
    links=(Link("alice-bob", ("alice", "bob"), options={"rate_bps": 8_000_000}),),
    policy={"stock_bytes": 1 << 20, "unfetched_bytes": 1 << 20},
)


class Alice(NamedTuple):
    """The node that is attacked, her own SAE and the attackers' certificate."""

    pid: int
    honest: Caller
    evil: Caller

    def open_files(self) -> int:
        """Sockets included."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def rss_mib(self, field: str) -> float:
        """VmRSS, the resident set now, or VmHWM, its peak."""
        found = re.search(rf"^{field}:\s+(\d+) kB$", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert found
        return int(found[1]) / 1024


@pytest.fixture(scope="module")
def alice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alice]:
    lab = Lab.up(TOPOLOGY, tmp_path_factory.mktemp("floods"))
    inventory = lab.inventory()
    pid = inventory.kme("alice").pid
    assert pid
    yield Alice(pid, Caller.of(inventory, "alicesae"), Caller.of(inventory, "evesae"))
    lab.down()


def test_without_any_flood_a_peak_is_seen(alice: Alice) -> None:
    """So that the others do not compare nothing with nothing."""
    assert 20 < alice.rss_mib("VmRSS") <= alice.rss_mib("VmHWM")
    before = alice.open_files()
    with closing(alice.honest.connect()) as connection:
        ask(connection, "GET", "/api/v1/keys/bobsae/status")
        assert alice.open_files() > before


@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: flood.kind)
def test_an_honest_sae_gets_its_keys_and_nothing_is_left_behind(alice: Alice, flood: Flood) -> None:
    open_files, rss_mib = alice.open_files(), alice.rss_mib("VmRSS")
    Path(f"/proc/{alice.pid}/clear_refs").write_text("5")  # from now on the peak counts anew
    with closing(alice.honest.connect()) as connection, attackers(flood, alice.evil) as evil:
        ids = {_key_id(connection) for _ in range(REQUESTS // 3)}
        evil.await_height()
        ids |= {_key_id(connection) for _ in range(REQUESTS - len(ids))}
        evil.end()
        assert evil.attempts >= flood.count * flood.rounds
    assert len(ids) == REQUESTS
    assert alice.rss_mib("VmHWM") - rss_mib < CAP_MIB
    deadline = time.monotonic() + RELEASED_S
    while alice.open_files() > open_files:
        assert time.monotonic() < deadline, f"{alice.open_files()} open files, {open_files} before"
        time.sleep(0.05)
    assert alice.honest.ask("GET", "/api/v1/keys/bobsae/enc_keys").status == 200


def _key_id(connection: http.client.HTTPSConnection) -> str:
    answer = ask(connection, "GET", "/api/v1/keys/bobsae/enc_keys")
    assert answer.status == 200, answer.message
    (entry,) = answer.body["keys"]
    assert len(base64.b64decode(entry["key"])) == 32
    return str(entry["key_ID"])
