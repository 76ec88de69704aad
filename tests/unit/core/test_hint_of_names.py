"""What somebody is told who named a thing that is not there."""

import pytest

from keyhop.core.names import hint_of_names


@pytest.mark.parametrize(
    ("written", "known", "hint"),
    [
        ("bobsea", ["alicesae", "bobsae"], 'did you mean "bobsae"?'),
        ("carol", ["alice", "bob"], "the nodes are: alice, bob"),
        ("carol", [], "the nodes are: none"),
    ],
)
def test_the_nearest_name_or_all(written: str, known: list[str], hint: str) -> None:
    assert hint_of_names(written, known, "the nodes are") == hint


def test_a_long_list_is_cut() -> None:
    names = [f"mill-{n}" for n in range(168)]
    assert hint_of_names("xyz", iter(names), "its SAEs are") == f"its SAEs are: {', '.join(names[:12])} and 156 more"
