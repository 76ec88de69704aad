"""Relays among lost, repeated and reordered messages, nodes that stop at any commit, and nodes that lie."""

from relay_world import World

SEEDS = 150


def test_whatever_happens_only_what_was_sent_arrives_and_no_pad_is_used_twice() -> None:
    arrived = sum(World(seed).run() for seed in range(SEEDS))
    assert arrived > 2 * SEEDS
