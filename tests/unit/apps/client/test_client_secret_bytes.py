"""Key bytes in the hands of a client do not show themselves."""

import copy
import pickle
from uuid import uuid4

import pytest

from keyhop.apps.client import Key, KeyContainer, SecretBytes

SECRET = b"\x01 a very secret string of 32 byte"


def test_only_reveal_shows_the_bytes() -> None:
    secret = SecretBytes(SECRET)
    key = Key(uuid4(), secret)
    shown = f"{secret} {secret!r} {secret:>90} {key} {KeyContainer((key,))}"
    assert "secret string" not in shown
    assert "<264 bits of key>" in shown
    assert secret.reveal() == SECRET
    assert len(secret) == 33


def test_equal_only_to_the_same_bytes() -> None:
    assert SecretBytes(SECRET) == SecretBytes(bytearray(SECRET))
    assert SecretBytes(SECRET) != SecretBytes(SECRET[:-1])
    assert SecretBytes(SECRET) != SECRET


def test_neither_pickled_nor_copied_nor_hashed() -> None:
    secret = SecretBytes(SECRET)
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy, hash):
        with pytest.raises(TypeError):
            attempt(secret)
