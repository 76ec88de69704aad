"""Which sections of a node.toml are taken over while the node runs, and that its operators are told the same."""

import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from node_text import ALICE

from keyhop.node.config import NodeConfig, parse_config
from keyhop.node.reloading import taken_over

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "operations.md"
CONFIG = ALICE + """"""


def waits_for_a_restart(section: str) -> bool:
    running = parse_config(CONFIG, Path("/"))
    other: Any = object()
    now, waiting = taken_over(running, replace(running, **{section: other}))
    assert (waiting == [section]) == (getattr(now, section) is not other)
    return waiting == [section]


def test_the_guide_tells_what_waits_for_a_restart() -> None:
    rows = re.search(
        r"\| at SIGHUP \| with a restart \|\n\|---\|---\|\n((?:\|.*\n)+)", GUIDE.read_text(encoding="utf-8")
    )
    assert rows is not None
    told: dict[bool, set[str]] = {False: set(), True: set()}
    for row in rows[1].splitlines():
        at_once, restart = row.strip("| ").split(" | ")
        told[False].update(re.findall(r"`\[+(\w+)\]", at_once))
        told[True].update(re.findall(r"`\[+(\w+)\]", restart))
    sections = [each.name for each in fields(NodeConfig)]
    assert told == {waits: {name for name in sections if waits_for_a_restart(name) == waits} for waits in told}
