"""A certificate that is revoked while the nodes run: nobody restarts or signals them, they follow the list."""

import http.client
import os
import signal
import ssl
import time
from collections.abc import Callable, Iterator

import pytest
from callers import Caller, ask, management

from keyhop.lab import Inventory, Lab
from keyhop.pki import Authority

STATUS = "/api/v1/keys/alicesae/status"
HONOURED_WITHIN_S = 60.0
# Idle connections are closed after 60 s for another reason; nodes look at the list every 5 s.
EXPECTED_WITHIN_S = 20.0
POLL_S = 0.02


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab.up("two-sites-paced", tmp_path_factory.mktemp("revocation"))
    yield lab
    lab.down()


@pytest.fixture
def inventory(lab: Lab) -> Inventory:
    return lab.inventory()


@pytest.fixture
def authority(lab: Lab) -> Authority:
    return Authority.load(lab.directory / "pki")


def until(true: Callable[[], bool]) -> None:
    """Asks again and again; fails after the time in which a revocation has to be honoured."""
    deadline = time.monotonic() + HONOURED_WITHIN_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(POLL_S)


def refused(caller: Caller) -> str:
    """What TLS says to a new connection; with TLS 1.3 that shows when something is read."""
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)) as refusal:
        caller.ask("GET", STATUS)
    return str(refusal.value)


def test_a_revoked_sae_is_cut_off_and_let_in_no_more(inventory: Inventory, authority: Authority) -> None:
    revoked, other = Caller.of(inventory, "bobsae"), Caller.of(inventory, "bobsae2")
    used, idle, others = revoked.connect(), revoked.connect(), other.connect()
    assert ask(used, "GET", STATUS).status == ask(others, "GET", STATUS).status == 200

    begin = time.monotonic()
    authority.revoke("bobsae")
    for connection in (used, idle):
        assert connection.sock.recv(1) == b""
        connection.close()
    assert time.monotonic() - begin < EXPECTED_WITHIN_S
    assert "certificate revoked" in refused(revoked)

    assert ask(others, "GET", STATUS).status == 200
    others.close()
    assert other.ask("GET", STATUS).status == 200
    assert [kme.pid for kme in inventory.kmes] == [
        management(inventory, k.id, "/v1/node")["pid"] for k in inventory.kmes
    ]


def test_a_new_certificate_lets_the_sae_in_again(inventory: Inventory, authority: Authority) -> None:
    authority.issue_sae("bobsae")
    assert Caller.of(inventory, "bobsae").ask("GET", STATUS).status == 200


def test_a_revoked_node_loses_its_peers_until_it_has_a_new_certificate(
    inventory: Inventory, authority: Authority
) -> None:
    def ready(kme: str) -> bool:
        answer: bool = management(inventory, kme, "/readyz")["ready"]
        return answer

    begin = time.monotonic()
    authority.revoke("bob")
    until(lambda: not ready("alice"))
    assert time.monotonic() - begin < EXPECTED_WITHIN_S
    reasons = management(inventory, "alice", "/readyz")["missing"]
    assert any(reason.startswith("peer bob: not connected (") for reason in reasons)
    assert management(inventory, "alice", "/v1/peers")[0]["connected"] is False
    until(lambda: not ready("bob"))

    authority.issue_node("bob", ["127.0.0.1", "localhost"])
    pid = inventory.kme("bob").pid
    assert pid
    os.kill(pid, signal.SIGHUP)
    until(lambda: ready("alice") and ready("bob"))
    (got,) = Caller.of(inventory, "bobsae3").enc_keys("alicesae")
    assert Caller.of(inventory, "alicesae").dec_keys("bobsae3", got["key_ID"]).body["keys"] == [got]
