"""Signals to a running node: SIGHUP takes a new configuration, SIGTERM answers what is under way and ends."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from callers import JSON, Answer, Caller, ask, management, reload, spent, until

from keyhop.lab import Inventory, Lab, load_topology
from keyhop.lab.topology import Link, Topology
from keyhop.pki import Authority

ENC = "/api/v1/keys/alicesae/enc_keys"
STATUS = "/api/v1/keys/alicesae/status"
TIMEOUT_S = 30.0
POLL_S = 0.02
WAIT_S = 1.0
DRY = "no key material is left for KME alice"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab.up("two-sites-paced", tmp_path_factory.mktemp("reload"))
    yield lab
    lab.down()


@pytest.fixture
def inventory(lab: Lab) -> Inventory:
    return lab.inventory()


def test_sighup_takes_over_a_new_sae(lab: Lab, inventory: Inventory) -> None:
    certificate, key = (str(path) for path in Authority.load(lab.directory / "pki").files("sae", "bobsae4"))
    Authority.load(lab.directory / "pki").issue_sae("bobsae4")
    new = Caller(inventory.kme("bob").etsi014_url, inventory.ca, certificate, key)
    early = new.connect()
    assert ask(early, "GET", STATUS).status == 401

    for kme in ("alice", "bob"):
        reload(inventory, kme, lambda document: document["saes"].append({"id": "bobsae4", "kme": "bob"}))
    assert early.sock.recv(1) == b""  # who it is has changed, so its connection was closed
    early.close()
    (got,) = new.enc_keys("alicesae")
    alice = Caller.of(inventory, "alicesae")
    until(lambda: alice.ask("GET", "/api/v1/keys/bobsae4/status").status == 200)
    assert alice.dec_keys("bobsae4", got["key_ID"]).body["keys"] == [got]


def test_sighup_takes_over_policy_and_open_connections_stay(inventory: Inventory) -> None:
    bob = Caller.of(inventory, "bobsae")
    connection = bob.connect()
    assert ask(connection, "GET", STATUS).body["key_size"] == 256

    policy = {"default_size_bits": 512, "max_keys_per_request": 2, "allow": [{"master": "bobsae", "slave": "alicesae"}]}
    reload(inventory, "bob", lambda document: document.update(policy=policy))
    until(lambda: bool(ask(connection, "GET", STATUS).body["key_size"] == 512))
    assert ask(connection, "GET", f"{ENC}?number=3").message == "number shall be between 1 and 2"
    refused = ask(connection, "GET", "/api/v1/keys/alicesae2/enc_keys")
    assert (refused.status, refused.message) == (401, "these SAEs may not share keys")
    connection.close()

    reload(inventory, "bob", lambda document: document.update(policy={}))
    until(lambda: bool(bob.ask("GET", STATUS).body["key_size"] == 256))


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("[policy\n", "node.toml"),
        ("[policy]\ndefault_size_bit = 512\n", 'unknown key \\"default_size_bit\\"'),
        ("", "missing"),
    ],
    ids=["no TOML", "unknown key", "empty"],
)
def test_a_broken_file_keeps_the_old_configuration(lab: Lab, inventory: Inventory, broken: str, reason: str) -> None:
    entry = inventory.kme("bob")
    path, log = Path(entry.config), lab.directory / "nodes" / "bob" / "node.log"
    good, logged = path.read_text(), log.stat().st_size

    def complaints() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in log.read_bytes()[logged:].splitlines()]
        return [line for line in lines if line["event"] == "configuration not reloaded"]

    try:
        path.write_text(broken if not broken.startswith("[policy]") else good.replace("[policy]\n", broken))
        assert entry.pid
        os.kill(entry.pid, signal.SIGHUP)
        until(lambda: bool(complaints()))
    finally:
        path.write_text(good)
    (complaint,) = complaints()
    assert complaint["level"] == "error"
    assert reason in json.dumps(complaint)
    assert Caller.of(inventory, "bobsae").ask("GET", STATUS).body["key_size"] == 256


@contextmanager
def own_child(lab: Lab, kme: str) -> Iterator[subprocess.Popen[bytes]]:
    """A lab's node as our own child, so that its exit status can be had."""
    lab.kill(kme)
    command = [sys.executable, "-m", "keyhop", "node", "run", "--config", lab.inventory().kme(kme).config]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: any(state.id == kme and state.ready for state in lab.state()))
            yield process
        finally:
            process.kill()


def terminate(process: subprocess.Popen[bytes], caller: Caller) -> None:
    """SIGTERM; returns when the node has begun to stop, which shows in that nobody new gets in."""
    process.send_signal(signal.SIGTERM)

    def closed() -> bool:
        try:
            socket.create_connection(caller.address, timeout=TIMEOUT_S).close()
        except ConnectionRefusedError:
            return True
        return False

    until(closed)


def node_has_read(bob: Caller) -> None:
    """A whole request that was sent later was answered, so what was sent before has arrived."""
    assert bob.ask("GET", STATUS).status == 200


def test_sigterm_answers_what_is_under_way(lab: Lab) -> None:
    bob = Caller.of(lab.inventory(), "bobsae")
    body = b'{"number": 2}'
    with own_child(lab, "bob") as node:
        idle, busy = bob.connect(), bob.connect()
        assert ask(idle, "GET", STATUS).status == 200
        busy.putrequest("POST", ENC)
        busy.putheader("Content-Type", "application/json")
        busy.putheader("Content-Length", str(len(body)))
        busy.endheaders(body[:5])
        node_has_read(bob)

        terminate(node, bob)
        assert idle.sock.recv(1) == b""
        idle.close()
        busy.send(body[5:])
        response = busy.getresponse()
        assert (response.status, response.headers["connection"]) == (200, "close")
        got = json.loads(response.read())["keys"]
        busy.close()
        assert node.wait(TIMEOUT_S) == 0

    lab.start("bob")
    alice = Caller.of(lab.inventory(), "alicesae")
    assert alice.dec_keys("bobsae", *(key["key_ID"] for key in got)).body["keys"] == got
    streams = management(lab.inventory(), "bob", "/v1/streams")
    assert all(stream["balanced"] for stream in streams)


@pytest.fixture(scope="module")
def trickle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """`two-sites` over a link that brings each stream a dozen keys every four seconds."""
    shipped = load_topology("two-sites-paced")
    link = Link(id="alice-bob", ends=("alice", "bob"), options={"rate_bps": 2048, "block_bytes": 512})
    policy = {"wait_s": WAIT_S, "reserved_bytes_per_pair": 0}
    topology = Topology(kmes=shipped.kmes, saes=shipped.saes, links=(link,), policy=policy)
    lab = Lab.up(topology, tmp_path_factory.mktemp("trickle"))
    yield lab
    lab.down()


def check_dry(answer: Answer, waited_s: float, reason: str = DRY) -> None:
    assert (answer.status, answer.headers["content-type"]) == (503, "application/json")
    assert answer.message == reason
    assert int(answer.headers["retry-after"]) >= 1
    assert WAIT_S <= waited_s < WAIT_S + 1


def test_an_empty_stream_gets_503_with_a_reason_within_the_wait(trickle: Lab) -> None:
    bob = Caller.of(trickle.inventory(), "bobsae")
    for _ in range(100):
        begin = time.monotonic()
        answer = bob.ask("GET", ENC)
        waited_s = time.monotonic() - begin
        if answer.status != 200:
            break
    check_dry(answer, waited_s)


@pytest.mark.parametrize(
    ("others", "reason"),
    [([], DRY), (["alicesae2"], "KME alice has no copy: no key material is left for its pad")],
    ids=["stream", "multicast"],
)
def test_more_than_there_is_gets_503_and_costs_nothing(trickle: Lab, others: list[str], reason: str) -> None:
    inventory = trickle.inventory()
    before = spent(inventory)
    body = json.dumps({"number": 16, "size": 8192, "additional_slave_SAE_IDs": others}).encode()
    begin = time.monotonic()
    answer = Caller.of(inventory, "bobsae").ask("POST", ENC, body, JSON)
    check_dry(answer, time.monotonic() - begin, reason)
    assert spent(inventory) == before


def test_sigterm_answers_those_who_wait_for_key(trickle: Lab) -> None:
    bob = Caller.of(trickle.inventory(), "bobsae")
    answers: list[int] = []

    def wait_for_key(connection: http.client.HTTPSConnection) -> None:
        answers.append(ask(connection, "GET", f"{ENC}?number=1024&size=8192").status)
        connection.close()

    with own_child(trickle, "bob") as node:
        waiting = [threading.Thread(target=wait_for_key, args=(bob.connect(),)) for _ in range(3)]
        for thread in waiting:
            thread.start()
        node_has_read(bob)
        terminate(node, bob)
        for thread in waiting:
            thread.join(TIMEOUT_S)
        assert answers == [503, 503, 503]
        assert node.wait(TIMEOUT_S) == 0
