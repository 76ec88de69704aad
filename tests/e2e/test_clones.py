"""A node is copied, as machines are cloned, and the copy runs under the same name: beside the original, or after it.

`alice` is copied, because it is she who dials bob. Her SAEs ask whichever of the two answers.
"""

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self
from uuid import UUID

import httpx
import pytest
from crashing import fast_link
from forked_lab import ForkedLab
from witness import Saes, Witness
from zygote import ForkedNode

from keyhop.apps.client import BadRequest, Client, TransportError, Unavailable, mutual_tls
from keyhop.lab.ports import LOOPBACK, free_ports

LISTENERS = ("etsi014", "management", "peers")
KINDS = (("bobsae", ("alicesae",)), ("alicesae", ("alicesae2",)), ("bobsae", ("alicesae", "alicesae2")))
"""Keys of the stream from bob, of her own site, and of several."""

PATIENCE_S = 20.0
STEP_S = 1.25


class Copy:
    """A second alice, and her SAEs as they see it."""

    def __init__(self, nodes: ForkedLab, directory: Path, witness: Witness) -> None:
        listen = {name: f"{LOOPBACK}:{port}" for name, port in zip(LISTENERS, free_ports(3), strict=True)}
        self.nodes = nodes
        self.config = nodes.clone("alice", directory, listen)
        self._listen = listen
        self._witness = witness
        self._node: ForkedNode | None = None
        inventory = nodes.lab.inventory()
        self._stack = ExitStack()
        self._clients = {
            sae.id: self._stack.enter_context(
                Client(f"https://{listen['etsi014']}", mutual_tls(ca=inventory.ca, certificate=sae.cert, key=sae.key))
            )
            for sae in inventory.saes
            if sae.kme == "alice"
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()
        if self._node is not None:
            self._node.end(signal.SIGKILL)

    def start(self) -> None:
        self._node = self.nodes.start_other(self.config)

    def stop(self) -> None:
        assert self._node is not None
        self._node.end(signal.SIGTERM)
        self._node = None

    def ended(self) -> bool:
        """Whether it ends by itself."""
        assert self._node is not None
        return self._node.ended(PATIENCE_S)

    @property
    def witness(self) -> Path:
        return self.config.with_name("witness")

    @property
    def log(self) -> str:
        return self.config.with_name("node.log").read_text()

    def fetch(self, slave: str, key_id: UUID) -> bool | None:
        """dec_keys: whether the slave got it; None when the copy did not say."""
        try:
            got = self._clients[slave].get_key_with_ids(self._witness.keys[key_id].master, [key_id])
        except (Unavailable, TransportError):
            return None
        except BadRequest:
            return False
        self._witness.slave_got(slave, got.keys)
        return True

    def meets_bob(self) -> bool:
        """Whether it has compared marks with bob by now."""
        try:
            peers = httpx.get(f"http://{self._listen['management']}/v1/peers", trust_env=False).json()
        except httpx.TransportError:
            return False
        return bool(peers[0]["synchronised"])


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[ForkedLab]:
    with ForkedLab.running(tmp_path / "lab", fast_link()) as nodes:
        yield nodes


@contextmanager
def alice_and_her_copy(nodes: ForkedLab, directory: Path) -> Iterator[tuple[Saes, Copy, list[tuple[str, UUID]]]]:
    """With keys that alice's SAEs have not fetched."""
    witness, held = Witness(), []
    with Saes.of(nodes.lab, witness) as saes:
        deadline = time.monotonic() + PATIENCE_S
        for master, slaves in KINDS * 8:
            while not (key_ids := saes.get(master, slaves)):
                assert time.monotonic() < deadline
            held.append((slaves[-1], key_ids[0]))
        with Copy(nodes, directory, witness) as copy:
            yield saes, copy, held


def until(condition: Callable[[], bool]) -> None:
    """Waits for what other processes do."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def ask_both(saes: Saes, copy: Copy, held: list[tuple[str, UUID]]) -> int:
    """Every key from both, again and again; the witness finds out what comes twice. How many the copy delivered."""
    delivered = 0
    for _ in range(2):
        for slave, key_id in held:
            delivered += copy.fetch(slave, key_id) is True
            saes.must_be_refused(slave, key_id)
    return delivered


def test_a_copied_data_dir_beside_the_original(nodes: ForkedLab, tmp_path: Path) -> None:
    with alice_and_her_copy(nodes, tmp_path / "copy") as (saes, copy, held):
        copy.witness.unlink()
        copy.start()
        until(copy.meets_bob)
        assert "its witness is missing" in copy.log
        assert ask_both(saes, copy, held) == 0
        until(lambda: "two nodes claim to be the same peer" in nodes.log("bob"))


def test_a_copied_machine_beside_the_original(nodes: ForkedLab, tmp_path: Path) -> None:
    with alice_and_her_copy(nodes, tmp_path / "copy") as (saes, copy, held):
        copy.start()
        until(copy.meets_bob)
        ask_both(saes, copy, held)
        until(lambda: "two nodes claim to be the same peer" in nodes.log("bob"))
        until(lambda: "has taken its place at a peer" in nodes.log("alice"))


def test_a_copied_machine_and_then_the_original_again(nodes: ForkedLab, tmp_path: Path) -> None:
    with alice_and_her_copy(nodes, tmp_path / "copy") as (saes, copy, held):
        nodes.kill("alice")
        copy.start()
        until(copy.meets_bob)
        ask_both(saes, copy, held)
        copy.stop()
        nodes.all_ready()
        for slave, key_id in held:
            saes.must_be_refused(slave, key_id)


def test_an_older_data_dir_with_the_latest_witness(nodes: ForkedLab, tmp_path: Path) -> None:
    with alice_and_her_copy(nodes, tmp_path / "copy") as (saes, copy, held):
        time.sleep(STEP_S)
        nodes.stop("alice")
        shutil.copy(nodes.witness("alice"), copy.witness)
        copy.start()
        until(copy.meets_bob)
        assert "the store is an old copy" in copy.log
        assert ask_both(saes, copy, held) == 0


def test_a_copy_that_shares_the_witness_of_the_original(nodes: ForkedLab, tmp_path: Path) -> None:
    with alice_and_her_copy(nodes, tmp_path / "copy") as (_, copy, _):
        copy.witness.unlink()
        copy.witness.symlink_to(nodes.witness("alice"))
        copy.start()
        assert copy.ended()
        assert "another process uses the witness" in copy.log
        assert nodes.says("alice", "/readyz")
