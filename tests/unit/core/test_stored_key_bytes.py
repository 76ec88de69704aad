"""What is stored with key bytes in it cannot print them (promise 7)."""

import pytest

from keyhop.core import chunk
from keyhop.core.ids import SaeId
from keyhop.core.keys import Stored
from keyhop.core.records import RecordOrigin, _Record
from keyhop.core.streams.follower_state import EpochState, FollowerState
from keyhop.core.streams.owned import _OwnerState
from keyhop.network.expanding.held import _Seed
from keyhop.network.hybrid import kept
from keyhop.network.psk.generations import _State

SECRET = b"SECRET"
KINDS = [
    chunk._Stored(0.0, "bb84", b"\xff", SECRET),
    _Record(RecordOrigin(SaeId("a"), "kme", 0.0), [], SECRET),
    EpochState(id_key=SECRET),
    _OwnerState(id_key=SECRET),
    _Seed(1, 1, SECRET, ()),
    kept._Stored(1, SECRET, 1),
    _State("file", {0: SECRET}),
]


@pytest.mark.parametrize("stored", [*KINDS, FollowerState(epochs={1: EpochState(id_key=SECRET)})], ids=repr)
def test_its_text_has_none_of_them(stored: object) -> None:
    for text in (repr(stored), str(stored), f"{stored}"):
        assert "SECRET" not in text


def test_all_kinds_are_looked_at() -> None:
    assert {type(each) for each in KINDS} == set(Stored.__subclasses__())
