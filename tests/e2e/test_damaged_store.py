"""What a node finds on its disk is not what it wrote: it does not start, says so in words, and gives out nothing."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from office import Office

KME = "bob"
ENDED_S = 20.0
PAGE_BYTES = 4096


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """With keys in stock at both ends, and some that slaves at bob have not fetched."""
    with Office.open(tmp_path_factory.mktemp("damaged"), witness=True) as office:
        yield office


def overwrite(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def cut_in_half(store: Path) -> None:
    os.truncate(store, store.stat().st_size // 2)


def lose_the_header(store: Path) -> None:
    overwrite(store, 0, bytes(100))


def hold_noise_amid(store: Path) -> None:
    """In every second page but the first."""
    for at in range(PAGE_BYTES, store.stat().st_size, 2 * PAGE_BYTES):
        overwrite(store, at, os.urandom(PAGE_BYTES))


def alter_one_value(store: Path) -> None:
    """SQLite does not notice that, but values are sealed."""
    database = sqlite3.connect(store)
    with database:
        changed = database.execute(
            "UPDATE slots SET value = zeroblob(length(value)) WHERE name = "
            "(SELECT max(name) FROM slots WHERE name LIKE 'bob/alice/direct/owner/%')"
        )
    assert changed.rowcount == 1
    database.close()


def be_written_under_another_key(store: Path) -> None:
    store.with_name("store.key").write_text("5a" * 32)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut_in_half, "malformed"),
        (lose_the_header, "not a database"),
        (hold_noise_amid, "malformed"),
        (alter_one_value, "the stored value chunk bob/alice/direct/owner/.* was altered"),
        (be_written_under_another_key, "written under another key"),
    ],
)
def test_a_damaged_store(office: Office, damage: Callable[[Path], None], reason: str, tmp_path: Path) -> None:
    office.work()
    office.nodes.stop(KME)
    data = office.nodes.data(KME)
    shutil.copytree(data, tmp_path / "whole")
    damage(data / "store.db")
    config = data.parent / "node.toml"
    command = [sys.executable, "-m", "keyhop", "node", "run", "--config", str(config)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=ENDED_S, check=False)
    assert ended.returncode == 1
    assert re.search(f"^error: .*{reason}.*\nhint: .", ended.stderr, re.MULTILINE), ended.stderr
    assert "Traceback" not in ended.stderr

    shutil.rmtree(data)
    shutil.copytree(tmp_path / "whole", data)
    held = len(office.held)
    office.nodes.all_ready()
    assert office.fetch_held() == held  # nothing was given out, and nothing is lost
