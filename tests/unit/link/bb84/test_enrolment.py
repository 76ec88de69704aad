import random
import subprocess
from pathlib import Path

import pytest

from keyhop.core.errors import ConfigurationError
from keyhop.link.bb84.authentication.enrolment import (
    DEFAULT_ENTRIES,
    ENTRY_BYTES,
    IDENTIFIER_BYTES,
    MAX_ENTRIES,
    MIN_ENTRIES,
    load_enrolment,
    make_enrolment,
)


class RepeatableEntropy:
    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)


def written(directory: Path, text: str | bytes, mode: int = 0o600) -> Path:
    path = directory / "enrolment.hex"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def random_hex(size: int) -> str:
    return RepeatableEntropy().token(size).hex()


@pytest.mark.parametrize("entries", [MIN_ENTRIES, DEFAULT_ENTRIES, MAX_ENTRIES])
def test_what_is_made_can_be_loaded(tmp_path: Path, entries: int) -> None:
    enrolment = load_enrolment(written(tmp_path, make_enrolment(RepeatableEntropy(), entries)))
    made = RepeatableEntropy()
    assert enrolment.identifier == made.token(IDENTIFIER_BYTES)
    assert enrolment.material.reveal() == b"".join(made.token(ENTRY_BYTES) for _ in range(entries))


def test_openssl_rand_makes_one(tmp_path: Path) -> None:
    text = subprocess.run(["openssl", "rand", "-hex", "28688"], capture_output=True, check=True, text=True).stdout
    enrolment = load_enrolment(written(tmp_path, text))
    assert len(enrolment.material) == DEFAULT_ENTRIES * ENTRY_BYTES
    assert text.startswith(enrolment.identifier.hex())


def test_what_is_too_short_for_another_entry_is_left_over(tmp_path: Path) -> None:
    size = IDENTIFIER_BYTES + MAX_ENTRIES * ENTRY_BYTES + ENTRY_BYTES - 1
    assert len(load_enrolment(written(tmp_path, random_hex(size))).material) == MAX_ENTRIES * ENTRY_BYTES


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no hex",
        random_hex(IDENTIFIER_BYTES + MIN_ENTRIES * ENTRY_BYTES - 1),
        random_hex(IDENTIFIER_BYTES + MIN_ENTRIES * ENTRY_BYTES)[:-1],
        random_hex(IDENTIFIER_BYTES + (MAX_ENTRIES + 1) * ENTRY_BYTES),
        random_hex(IDENTIFIER_BYTES + MIN_ENTRIES * ENTRY_BYTES) + "é",
        random_hex(IDENTIFIER_BYTES + MIN_ENTRIES * ENTRY_BYTES) + " " * (1 << 20),
        b"\xff" * 20_000,
    ],
    ids=["empty", "words", "short", "odd", "long", "not ascii", "huge", "binary"],
)
def test_a_malformed_file_is_refused_without_showing_it(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(ConfigurationError, match="does not hold 7184 to 57471 bytes in hex") as refused:
        load_enrolment(written(tmp_path, text))
    assert refused.value.hint is not None
    assert "openssl rand -hex 28688" in refused.value.hint
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_a_file_that_repeats_itself_is_refused(tmp_path: Path) -> None:
    size = IDENTIFIER_BYTES + MIN_ENTRIES * ENTRY_BYTES
    for content in (bytes(size), bytes.fromhex(random_hex(size)) + bytes.fromhex(random_hex(size))[-ENTRY_BYTES:]):
        with pytest.raises(ConfigurationError, match="repeats itself"):
            load_enrolment(written(tmp_path, content.hex()))


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file") as refused:
        load_enrolment(tmp_path / "missing")
    assert "openssl rand" in str(refused.value.hint)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigurationError, match=f"mode {mode:04o}") as refused:
        load_enrolment(written(tmp_path, make_enrolment(RepeatableEntropy()), mode))
    assert "chmod 600" in str(refused.value.hint)


@pytest.mark.parametrize("entries", [0, MIN_ENTRIES - 1, MAX_ENTRIES + 1])
def test_an_enrolment_of_another_size_is_not_made(entries: int) -> None:
    with pytest.raises(ValueError, match="64 to 512 entries"):
        make_enrolment(RepeatableEntropy(), entries)


def test_key_bytes_are_not_shown(tmp_path: Path) -> None:
    enrolment = load_enrolment(written(tmp_path, make_enrolment(RepeatableEntropy())))
    assert "<28672 bytes of key>" in repr(enrolment)
