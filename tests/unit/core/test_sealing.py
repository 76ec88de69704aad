"""Values at rest: opened only under their key and name, and under new keys again and again."""

import pytest

from keyhop.core.keys import KeyMaterial
from keyhop.core.store import sealing
from keyhop.core.store.sealing import Sealing

KEY = KeyMaterial(bytes(range(32)))


def test_what_was_sealed_opens_in_another_run_under_the_same_key_and_name_only() -> None:
    sealed = Sealing(KEY).seal(b"secret", b"name")
    assert Sealing(KEY).open(sealed, b"name") == b"secret"
    assert Sealing(KEY).open(sealed, b"other name") is None
    assert Sealing(KeyMaterial(bytes(32))).open(sealed, b"name") is None


@pytest.mark.parametrize("at", [0, 15, 16, 27, 28, -1])
def test_any_altered_byte_is_refused(at: int) -> None:
    sealed = bytearray(Sealing(KEY).seal(b"secret", b"name"))
    sealed[at] ^= 1
    assert Sealing(KEY).open(bytes(sealed), b"name") is None


@pytest.mark.parametrize("length", [0, 15, 16, 27, 28, 43])
def test_what_is_too_short_is_refused(length: int) -> None:
    assert Sealing(KEY).open(Sealing(KEY).seal(b"", b"name")[:length], b"name") is None


def test_a_key_is_used_for_a_bounded_number_of_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "_VALUES_PER_KEY", 2)
    run = Sealing(KEY)
    sealed = [run.seal(bytes([i]), b"name") for i in range(6)]
    assert len({value[:16] for value in sealed}) == 3
    assert [run.open(value, b"name") for value in sealed] == [bytes([i]) for i in range(6)]
