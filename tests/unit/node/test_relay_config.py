"""`[relay]` and `[[relay.sources]]`: what is believed of other KMEs, and what its errors say."""

from pathlib import Path

import pytest
from node_text import ALICE

from keyhop.core.errors import ConfigurationError
from keyhop.core.ids import KmeId
from keyhop.node.config import NodeConfig, parse_config

HEAD = (
    ALICE
    + """[[kmes]]
id = "bob"
peer_address = "bob:1"
[[kmes]]
id = "carol"
peer_address = "carol:1"
"""
)
BOB, CAROL = KmeId("bob"), KmeId("carol")


def read(text: str) -> NodeConfig:
    return parse_config(HEAD + text, Path("/etc/keyhop"))


def source(kme: str, most: int) -> str:
    return f'[[relay.sources]]\nkme = "{kme}"\nmost_priority = {most}\n'


def test_sources_have_the_priorities_that_they_say_unless_the_operator_says_less() -> None:
    assert read("").relay.most_priorities((BOB, CAROL)) == {BOB: 7, CAROL: 7}
    limited = read("[relay]\nmost_priority = 3\n" + source("carol", 6)).relay
    assert limited.most_priorities((BOB, CAROL)) == {BOB: 3, CAROL: 6}


def test_shares_are_counted_where_there_are_some_and_defaults_may_stand_anywhere() -> None:
    assert read('[relay]\nstrategy = "secret-shared"\npaths = 3\nleast_paths = 3\nthreshold = 2').relay.paths == 3
    assert read("[relay]\npaths = 2\nleast_paths = 2\nthreshold = 0").relay.strategy == "hop-by-hop"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (source("dave", 4), '[[relay.sources]] names the KME "dave", which is not in [[kmes]]'),
        (source("alice", 4), '[[relay.sources]] names the KME "alice"'),
        (source("bob", 4) + source("bob", 5), "[[relay.sources]] bob is there 2 times"),
        (source("bob", 8), "most_priority = 8"),
        ("[relay]\npaths = 3", '[relay] paths with strategy = "hop-by-hop", which sends no shares'),
        ('[relay]\nstrategy = "hop-by-hop"\nleast_paths = 1', '[relay] least_paths with strategy = "hop-by-hop"'),
        ('[relay]\nstrategy = "xor-at-destination"\nthreshold = 2', '[relay] threshold with strategy = "xor-at-'),
    ],
)
def test_what_cannot_be_used_is_named(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as failure:
        read(text)
    assert message in failure.value.message
