"""No key byte is left in any file of a node, in its logs, or in what a crash of it leaves.

The same search finds the bytes where somebody does keep them, and key IDs in the audit log, where they belong: so it
would find what it looks for.
"""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from audited import audit_directory, check_audit_logs
from leftovers import Needles
from witness import STOPPED_S, Saes, Witness, stop

from keyhop.lab import Lab

KME = "alice"
PAIRS = (("alicesae", "bobsae"), ("bobsae", "alicesae"))
EXPLODING = """
from keyhop.service.audit import AuditedReplies

give, kept = AuditedReplies.give, []

def explode(self, keys, handed, reply):
    def answer(got):
        reply(got)
        kept.append(keys.runs[0].material.reveal())
        if len(kept) % 2:
            try:
                raise ValueError(kept[0])
            except ValueError as error:
                raise LookupError(f"in the effect {kept[0]!r}", kept[0]) from error
    if len(kept) % 5 == 2:
        kept.append(b"")
        raise RuntimeError("in the request", keys, kept[0], repr(kept[0]), {"key": kept[0]})
    give(self, keys, handed, answer)

AuditedReplies.give = explode
"""
"""A `sitecustomize`: the node's own code, but its request path breaks again and again, with keys in its exceptions."""


@pytest.fixture
def canary_lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab.up("two-sites-paced", tmp_path / "lab")
    yield lab
    lab.down()


@contextmanager
def dumps_wanted() -> Iterator[None]:
    """As far as it is up to us, every process that we start and that crashes leaves its memory in a file."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)


@contextmanager
def own_child(lab: Lab, python_path: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """The node as a child of our own, in its folder, where the kernel would leave its memory."""
    stop(lab, KME)
    folder = lab.directory / "nodes" / KME
    command = [sys.executable, "-m", "keyhop", "node", "run", "--config", str(folder / "node.toml")]
    paths = [str(path) for path in (python_path, os.environ.get("PYTHONPATH")) if path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    with (folder / "node.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment)
    (folder / "node.pid").write_text(str(process.pid))
    try:
        lab.start(KME)
        yield process
    finally:
        process.kill()
        process.wait()


def exchange(saes: Saes, number: int = 40) -> None:
    """Keys one by one, many at once and for several slaves; and some that nobody fetches."""
    for master, slave in PAIRS:
        for _ in range(number):
            saes.must_fetch(slave, saes.get(master, (slave,)))
        for size in (128, 1000, 8192):
            saes.must_fetch(slave, saes.get(master, (slave,), size, number))
        shared = saes.get(master, (slave, "bobsae2" if slave == "bobsae" else "alicesae2"), 256, 4)
        saes.must_fetch(slave, shared)
        assert len(shared) == len(saes.get(master, (slave,), 256, 4)) == 4


def of_keys(witness: Witness) -> Needles:
    assert len(witness.keys) >= 60
    return Needles(seen.secret for seen in witness.keys.values())


def of_ids(witness: Witness) -> Needles:
    return Needles(key_id.bytes for key_id in witness.keys)


def test_files_of_nodes_hold_no_key_that_was_given_out(canary_lab: Lab) -> None:
    witness = Witness()
    with Saes.of(canary_lab, witness) as saes:
        exchange(saes)
    needles = of_keys(witness)
    assert needles.files_with(canary_lab.directory) == set()  # while it runs: with its write-ahead log
    assert (canary_lab.directory / "nodes" / KME / "data" / "store.db-wal").stat().st_size > 0
    for kme in ("alice", "bob"):
        stop(canary_lab, kme)
        assert of_ids(witness).files_with(audit_directory(canary_lab, kme)) == {"audit-00000001.jsonl"}
    assert needles.files_with(canary_lab.directory) == set()
    check_audit_logs(canary_lab, witness)


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV])
def test_a_node_that_crashes_leaves_no_memory_behind(canary_lab: Lab, number: signal.Signals) -> None:
    witness = Witness()
    with dumps_wanted(), Saes.of(canary_lab, witness) as saes, own_child(canary_lab) as process:
        exchange(saes)
        process.send_signal(number)
        assert process.wait(STOPPED_S) == -number
    assert of_keys(witness).files_with(canary_lab.directory) == set()
    assert not list(canary_lab.directory.rglob("core*"))


def test_an_exception_that_holds_keys_is_logged_without_them(canary_lab: Lab, tmp_path: Path) -> None:
    """Whatever goes wrong in the request path, and whatever it says of itself."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(EXPLODING)
    witness = Witness()
    with Saes.of(canary_lab, witness) as saes, own_child(canary_lab, tmp_path / "path"):
        for _ in range(120):
            saes.get("alicesae", ("bobsae",))
    log = (canary_lab.directory / "nodes" / KME / "node.log").read_text()
    assert log.count("RuntimeError") > 10
    assert log.count("LookupError") > 10
    assert of_keys(witness).files_with(canary_lab.directory) == set()


@pytest.mark.parametrize(
    "kept",
    [
        lambda secret: b"x" * 5 + secret,
        lambda secret: secret.hex().encode(),
        lambda secret: b'{"key": "' + b64encode(secret) + b'"}',
        lambda secret: b64encode(b"salt" + secret),
        lambda secret: b64encode(b"salts" + secret),
        lambda secret: b"." * 1001 + secret[16:],
    ],
)
def test_the_search_finds_keys_that_somebody_keeps(tmp_path: Path, kept: object) -> None:
    assert callable(kept)
    secret = os.urandom(32)
    needles = Needles([os.urandom(32), secret])
    (tmp_path / "clean").write_bytes(os.urandom(100_000))
    assert needles.files_with(tmp_path) == set()
    (tmp_path / "diary").write_bytes(kept(secret))
    assert needles.files_with(tmp_path) == {"diary"}


def test_the_search_finds_keys_in_a_store_that_seals_nothing(tmp_path: Path) -> None:
    secret = os.urandom(32)
    database = sqlite3.connect(tmp_path / "store.db")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE slots(value BLOB)")
    database.execute("INSERT INTO slots VALUES(?)", (os.urandom(1000) + secret,))
    database.commit()
    assert Needles([secret]).files_with(tmp_path) == {"store.db-wal"}
    database.close()
    assert Needles([secret]).files_with(tmp_path) == {"store.db"}


def test_the_search_finds_keys_in_the_memory_of_a_process_that_may_be_dumped(tmp_path: Path) -> None:
    """Else the crashes above would prove nothing."""
    if Path("/proc/sys/kernel/core_pattern").read_text().strip() != "core":
        pytest.skip("this machine's kernel leaves dumps somewhere else")
    secret = os.urandom(32)
    code = "import os, sys; secret = sys.stdin.buffer.read(32); os.abort()"
    with dumps_wanted():
        if resource.getrlimit(resource.RLIMIT_CORE)[0] == 0:
            pytest.skip("this machine lets nobody dump")
        ended = subprocess.run([sys.executable, "-c", code], input=secret, cwd=tmp_path, check=False)
    assert ended.returncode == -signal.SIGABRT
    assert {name.partition(".")[0] for name in Needles([secret]).files_with(tmp_path)} == {"core"}


def test_key_ids_are_found_where_they_belong() -> None:
    key_id = UUID(int=0x0123456789ABCDEF0123456789ABCDEF)
    assert list(Needles([key_id.bytes]).found_in(b'{"ids":"' + key_id.hex.encode() + b'"}'))
