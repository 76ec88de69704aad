"""What the embedded store promises beyond the suite: sealed values, one holder, an honest end."""

import sqlite3
import stat
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from keyhop.core.errors import ConfigurationError, StoreFailure
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.base import Slot
from keyhop.core.store.sqlite import SqliteStore, load_store_key

KEY = KeyMaterial(bytes(range(32)))
OTHER_KEY = KeyMaterial(bytes(range(1, 33)))
ONE, TWO = Slot("stream", "one"), Slot("stream", "two")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def written(path: Path) -> None:
    store = SqliteStore(path, KEY)
    store.commit({ONE: b"value one", TWO: b"value two"})
    store.close()


def tamper(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.create_function("flip_a_bit", 1, lambda value: value[:-1] + bytes([value[-1] ^ 1]))
        db.execute(statement)


def in_another_process(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = "import sys\nfrom pathlib import Path\nfrom keyhop.core.store.sqlite import *\n" + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)


def test_another_key_is_a_configuration_error_and_lets_go_of_the_file(path: Path) -> None:
    written(path)
    with pytest.raises(ConfigurationError) as refused:
        SqliteStore(path, OTHER_KEY)
    assert refused.value.hint
    store = SqliteStore(path, KEY)  # while the exception is still alive
    assert store.read(ONE) == b"value one"
    store.close()


@pytest.mark.parametrize("slot", [ONE, TWO])
def test_an_altered_value_is_found_out(path: Path, slot: Slot) -> None:
    written(path)
    tamper(path, f"UPDATE slots SET value = flip_a_bit(value) WHERE name = '{slot.name}'")
    store = SqliteStore(path, KEY)
    with pytest.raises(StoreFailure, match="altered"):
        store.read(slot)
    with pytest.raises(StoreFailure):
        store.read(TWO if slot == ONE else ONE)
    store.close()


@pytest.mark.parametrize("value", ["x''", "x'00'", "zeroblob(28)", "zeroblob(100000)"])
def test_a_value_of_any_other_length_is_found_out(path: Path, value: str) -> None:
    written(path)
    tamper(path, f"UPDATE slots SET value = {value} WHERE name = 'two'")
    store = SqliteStore(path, KEY)
    with pytest.raises(StoreFailure, match="altered"):
        list(store.scan("stream"))
    store.close()


@pytest.mark.parametrize(
    "move",
    [
        "UPDATE slots SET value = (SELECT value FROM slots WHERE name = 'one') WHERE name = 'two'",
        "UPDATE slots SET name = 'three' WHERE name = 'two'",
        "UPDATE slots SET kind = 'chunk' WHERE name = 'two'",
    ],
)
def test_a_value_moved_to_another_slot_is_found_out(path: Path, move: str) -> None:
    written(path)
    tamper(path, move)
    store = SqliteStore(path, KEY)
    with pytest.raises(StoreFailure, match="altered"):
        _ = [*store.scan("stream"), *store.scan("chunk")]
    store.close()


def test_kind_and_name_cannot_be_shifted_against_each_other(path: Path) -> None:
    store = SqliteStore(path, KEY)
    store.commit({Slot("link", "a/b"): b"x"})
    store.close()
    tamper(path, "UPDATE slots SET kind = 'link/a', name = 'b'")
    with pytest.raises((ConfigurationError, StoreFailure)):
        SqliteStore(path, KEY).read(Slot("link/a", "b"))  # type: ignore[arg-type]


def test_a_second_connection_is_refused_and_the_first_goes_on(path: Path) -> None:
    store = SqliteStore(path, KEY)
    store.commit({ONE: b"1"})
    with pytest.raises(StoreFailure):
        SqliteStore(path, KEY)
    store.commit({ONE: b"2"})
    store.close()
    again = SqliteStore(path, KEY)
    assert again.read(ONE) == b"2"
    again.close()


def test_a_second_process_is_refused(path: Path) -> None:
    store = SqliteStore(path, KEY)
    result = in_another_process("SqliteStore(Path(sys.argv[1]), KeyMaterial(bytes(range(32))))", str(path))
    assert result.returncode == 1
    assert "StoreFailure" in result.stderr
    store.close()


def test_a_killed_process_leaves_what_it_committed(path: Path) -> None:
    result = in_another_process(
        """
        import os, signal
        store = SqliteStore(Path(sys.argv[1]), KeyMaterial(bytes(range(32))))
        for i in range(50):
            store.commit({Slot("chunk", f"{i:02}"): bytes([i]), Slot("stream", "last"): bytes([i])})
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        str(path),
    )
    assert result.returncode == -9
    store = SqliteStore(path, KEY)
    assert store.read(Slot("stream", "last")) == bytes([49])
    assert len(list(store.scan("chunk"))) == 50
    store.close()


def test_no_plaintext_reaches_the_disk_and_nobody_else_may_read_it(path: Path) -> None:
    secret = b"PLAINTEXT-OF-A-KEY" * 20
    store = SqliteStore(path, KEY)
    for i in range(10):
        store.commit({Slot("chunk", str(i)): secret})
    files = sorted(path.parent.iterdir())
    assert path.with_name("store.db-wal") in files
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        assert b"PLAINTEXT" not in file.read_bytes()
    store.close()
    assert b"PLAINTEXT" not in path.read_bytes()


def test_each_write_is_sealed_afresh(path: Path) -> None:
    store = SqliteStore(path, KEY)
    store.commit({ONE: bytes(64), TWO: bytes(64)})
    store.close()
    with closing(sqlite3.connect(path)) as db:
        one, two = (value for (value,) in db.execute("SELECT value FROM slots"))
    assert one != two
    assert one[:16] == two[:16]  # the salt of this run
    assert one[16:28] != two[16:28]  # the nonce


def test_every_commit_is_synchronous(path: Path) -> None:
    store = SqliteStore(path, KEY)
    db = store._db
    assert db.pragma("journal_mode") == "wal"
    assert db.pragma("synchronous") == 2
    assert db.pragma("locking_mode") == "exclusive"
    assert db.pragma("secure_delete") == 1
    store.close()


FULL_DISK = """
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = SqliteStore(Path(sys.argv[1]), KeyMaterial(bytes(range(32))))
    store.commit({Slot("stream", "round"): b"0"})
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    durable, failed = 0, None
    for i in range(1, 100):
        try:
            store.commit({Slot("stream", "round"): str(i).encode(), Slot("chunk", str(i)): bytes(20_000)})
            durable = i
        except StoreFailure as failure:
            failed = failure
            break
    assert failed is not None and failed.hint, "the disk never filled"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    refused = 0
    for attempt in (
        lambda: store.commit({Slot("stream", "round"): b"later"}),
        lambda: store.read(Slot("stream", "round")),
        lambda: list(store.scan("chunk")),
        lambda: store.commit({}),
    ):
        try:
            attempt()
        except StoreFailure:
            refused += 1
    print(durable, refused)
"""


def test_after_a_failed_write_everything_is_refused_and_the_disk_holds_all_or_nothing(path: Path) -> None:
    result = in_another_process(FULL_DISK, str(path))
    assert result.returncode == 0, result.stderr
    durable, refused = map(int, result.stdout.split())
    assert durable > 0
    assert refused == 4
    store = SqliteStore(path, KEY)
    last = store.read(Slot("stream", "round"))
    assert last in (str(durable).encode(), str(durable + 1).encode())
    assert {slot.name for slot, _ in store.scan("chunk")} == {str(i) for i in range(1, int(last) + 1)}
    store.commit({Slot("stream", "round"): b"again"})
    store.close()


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"certainly not a database" * 100)
    with pytest.raises(StoreFailure):
        SqliteStore(path, KEY)


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreFailure):
        SqliteStore(tmp_path / "missing" / "store.db", KEY)


def test_the_store_key_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "store.key"
    key = load_store_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(key) == 32
    assert load_store_key(path) == key
    assert load_store_key(tmp_path / "other.key") != key


@pytest.mark.parametrize("at", ["secrets.token_hex", "os.fsync", "os.link"])
def test_a_start_that_is_cut_short_leaves_no_part_of_a_store_key(tmp_path: Path, at: str) -> None:
    path = tmp_path / "store.key"
    cut = in_another_process(
        f"""
        import os, secrets
        {at} = lambda *arguments: os._exit(9)
        load_store_key(Path(sys.argv[1]))
        """,
        str(path),
    )
    assert cut.returncode == 9, cut.stderr
    assert len(load_store_key(path)) == 32


def test_of_two_that_make_the_store_key_at_once_both_have_the_same(tmp_path: Path) -> None:
    path = tmp_path / "store.key"
    other = in_another_process(
        """
        import os
        before, path = os.fsync, Path(sys.argv[1])
        def meanwhile(descriptor):
            os.fsync = before
            before(descriptor)
            print(load_store_key(path).reveal().hex())
        os.fsync = meanwhile
        print(load_store_key(path).reveal().hex())
        """,
        str(path),
    )
    first, second = other.stdout.split()
    assert first == second == load_store_key(path).reveal().hex()


@pytest.mark.parametrize("text", ["", "00" * 31, "00" * 33, "zz" * 32, "\N{SNOWMAN}"])
def test_a_store_key_that_is_none_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "store.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError) as refused:
        load_store_key(path)
    assert not text or text not in str(refused.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_store_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "store.key"
    path.write_text("00" * 32)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="read by others"):
        load_store_key(path)
