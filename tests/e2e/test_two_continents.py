"""`toronto-cambridge`: two domains on two continents, and applications at their far ends."""

from collections.abc import Iterator

import pytest

from keyhop.lab import Lab
from keyhop.lab.demo import Applications

FAR = ("application-a", "application-b")
NEAR = ("application-a", "toronto-office")
ROUND_TRIP_S = 0.09
EXCHANGES = 5


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab.up("toronto-cambridge", tmp_path_factory.mktemp("toronto-cambridge"))
    yield lab
    lab.down()


@pytest.mark.parametrize("pair", [FAR, FAR[::-1]])
def test_a_key_for_the_other_continent_takes_a_round_trip_and_is_there_then(lab: Lab, pair: tuple[str, str]) -> None:
    with Applications.connected(lab.inventory(), *pair) as saes:
        exchanges = [saes.exchange(*pair) for _ in range(EXCHANGES)]
    assert min(each.get_s for each in exchanges) >= ROUND_TRIP_S
    assert min(each.fetch_s for each in exchanges) < ROUND_TRIP_S


def test_within_a_domain_nobody_waits_for_the_other_one(lab: Lab) -> None:
    with Applications.connected(lab.inventory(), *NEAR) as saes:
        assert min(saes.exchange(*NEAR).get_s for _ in range(EXCHANGES)) < ROUND_TRIP_S
