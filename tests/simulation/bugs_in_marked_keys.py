"""Planted where keys are combined with ML-KEM secrets, or expanded: what only pairs of SAEs with rules of their own
have."""

from dataclasses import replace
from typing import Any

import pytest
from bugs_in_streams import Plant

from keyhop.core.records import RecordOrigin
from keyhop.network.arrivals import Arrivals
from keyhop.network.expanding import held, own, pads
from keyhop.network.expanding.held import HeldSeeds
from keyhop.network.expanding.own import ExpandedPad, OwnSeed
from keyhop.network.hybrid import combining
from keyhop.network.hybrid.kept import KeptSecrets
from keyhop.network.hybrid.records import RecordSecret
from keyhop.service import from_streams, making
from keyhop.service.policy import PairPolicy
from keyhop.service.routes import Routes


def the_bytes_of_the_link_are_the_key(patch: pytest.MonkeyPatch) -> None:
    """What is told to be combined is not, at both ends alike."""
    patch.setattr(making, "combined", lambda *args: args[-1])


def the_secret_is_the_key(patch: pytest.MonkeyPatch) -> None:
    """The bytes of the link are left out, at both ends alike."""
    combined = combining.combined

    def without(*args: Any) -> bytes:
        *others, qkd = args
        return combined(*[*others, bytes(len(qkd))])

    patch.setattr(making, "combined", without)


def parts_of_records_are_the_keys(patch: pytest.MonkeyPatch) -> None:
    """Records are told to be combined with a secret, and are what the KME drew."""
    patch.setattr(RecordSecret, "keys", lambda self, master, ids, parts: parts)


def without_a_secret_keys_are_plain(patch: pytest.MonkeyPatch) -> None:
    """A master whose policy wants hybrid keys gets others as long as there is no secret."""
    make_keys, for_request = making.make_keys, Routes.for_request

    def lenient(self: Routes, request: Any, target: Any, policy: PairPolicy) -> Any:
        if any(pair.hybrid.secret is None for pair in self.allowed(target, policy)):
            policy = replace(policy, hybrid="none")
        return for_request(self, request, target, policy)

    def plain(pair: Any, policy: PairPolicy, *args: Any) -> Any:
        return make_keys(pair, replace(policy, hybrid="none") if pair.hybrid.secret is None else policy, *args)

    patch.setattr(Routes, "for_request", lenient)
    patch.setattr(from_streams, "make_keys", plain)


def secrets_are_in_memory_only(patch: pytest.MonkeyPatch) -> None:
    """A follower that starts anew has none."""
    patch.setattr(KeptSecrets, "_save", lambda self, kept: None)


def numbers_of_a_seed_stay(patch: pytest.MonkeyPatch) -> None:
    """All that is expanded of a seed goes under the same pad."""
    take = OwnSeed.take

    def first(self: OwnSeed, size_bytes: int) -> ExpandedPad | None:
        self._number = 0
        return take(self, size_bytes)

    patch.setattr(OwnSeed, "take", first)
    patch.setattr(HeldSeeds, "used", lambda self, epoch, position, number: None)


def numbers_make_no_difference(patch: pytest.MonkeyPatch) -> None:
    """Two numbers of one seed give the same bytes."""
    expanded = pads.expanded
    for module in (own, held):
        patch.setattr(module, "expanded", lambda seed, number, size: expanded(seed, 1, 8160)[:size])


def a_slave_is_not_told_of_expanding(patch: pytest.MonkeyPatch) -> None:
    """Its KME forgets how a key came."""
    origin = Arrivals._origin

    def silent(self: Arrivals, *args: Any) -> RecordOrigin:
        return origin(self, *args)._replace(expanded=False)

    patch.setattr(Arrivals, "_origin", silent)


def keys_are_expanded_for_everyone(patch: pytest.MonkeyPatch) -> None:
    """Whatever the policy of a pair says, at its master."""
    patch.setattr(PairPolicy, "expands", True)


PLANTED: dict[Plant, set[int]] = {
    the_bytes_of_the_link_are_the_key: {0, 1},
    the_secret_is_the_key: {1},
    parts_of_records_are_the_keys: {0},
    without_a_secret_keys_are_plain: {0},
    secrets_are_in_memory_only: {5},
    numbers_of_a_seed_stay: {2},
    numbers_make_no_difference: {2},
    a_slave_is_not_told_of_expanding: {0},
    keys_are_expanded_for_everyone: {0},
}
"""Which promise each of them breaks first."""
