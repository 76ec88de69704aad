"""The file of a pre-shared key: what is taken, and that no mistake shows what is in it."""

from pathlib import Path

import pytest

from keyhop.core.errors import ConfigurationError
from keyhop.core.keys import KeyMaterial
from keyhop.pki.psk import load_psk

GOOD = "0f" * 32


def written(directory: Path, text: str, mode: int = 0o600) -> Path:
    path = directory / "psk"
    path.touch(mode)
    path.write_text(text)
    return path


@pytest.mark.parametrize("text", [GOOD, f"{GOOD}\n", f"  {GOOD[:32]}\n{GOOD[32:]}\n", GOOD.upper()])
def test_hex_with_white_space(tmp_path: Path, text: str) -> None:
    assert load_psk(written(tmp_path, text)) == KeyMaterial(b"\x0f" * 32)


def test_up_to_256_bytes(tmp_path: Path) -> None:
    assert len(load_psk(written(tmp_path, "ab" * 256))) == 256


@pytest.mark.parametrize(
    "text", ["", "0f" * 31, "ab" * 257, GOOD[:-1], "secret" + GOOD, GOOD + "é", "0f" * 100_000], ids=range(7)
)
def test_anything_else_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match="does not hold 32 to 256 bytes in hex") as caught:
        load_psk(written(tmp_path, text))
    assert "0f0f" not in str(caught.value)
    assert "openssl rand -hex 32" in str(caught.value.hint)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can be read by others"):
        load_psk(written(tmp_path, GOOD, 0o640))


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read the PSK"):
        load_psk(tmp_path / "psk")
