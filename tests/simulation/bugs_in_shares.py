"""Planted: a greedy pair of SAEs that keeps others from what is reserved for them."""

import pytest
from bugs_in_streams import Plant

from keyhop.network.leasing import Leasing
from keyhop.network.leasing.shares import Shares


def nothing_is_reserved(patch: pytest.MonkeyPatch) -> None:
    """Who asks most gets all."""
    patch.setattr(Shares, "reserve", lambda *_: None)


def floors_are_taken_from_each_other(patch: pytest.MonkeyPatch) -> None:
    """A pair that has used up what is common takes the floors of all that never asked."""
    patch.setattr(Shares, "_part", lambda self: self._others)


def who_may_have_no_more_holds_up_all(patch: pytest.MonkeyPatch) -> None:
    """One that asks for others' floors is waited for."""
    patch.setattr(Leasing, "_needs_only_a_lease", lambda self, want: want.units <= self._stream.stock_units)


PLANTED: dict[Plant, set[int]] = {
    nothing_is_reserved: {0},
    floors_are_taken_from_each_other: {0},
    who_may_have_no_more_holds_up_all: {0},
}
"""Which promise each of them breaks first."""
