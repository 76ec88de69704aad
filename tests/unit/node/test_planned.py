"""What is said of a bb84 link before it runs."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from keyhop.lab.layout import Layout
from keyhop.lab.setup import set_up
from keyhop.lab.topology import parse_topology
from keyhop.link.bb84.optics.options import ChannelOptions
from keyhop.link.bb84.settings import Bb84Options
from keyhop.node.config import LinkSection, NodeConfig, load_config
from keyhop.node.planned import PlannedLink, planned_links

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "lab.md"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> NodeConfig:
    """Of a node in the network of the guide's first example."""
    text = GUIDE.read_text().partition("## A network of your own")[2]
    found = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert found is not None
    layout = Layout(tmp_path_factory.mktemp("lab"))
    set_up(layout, parse_topology(found[1], origin="the guide"))
    return load_config(layout.config("paris"))


def planned(config: NodeConfig, **changes: object) -> PlannedLink:
    (link,) = config.links
    assert isinstance(link.options, Bb84Options)
    changed = LinkSection(link.id, link.peer, link.kind, replace(link.options, **changes))  # type: ignore[arg-type]
    (plan,) = planned_links(replace(config, links=(changed,)))
    return plan


def test_the_network_in_the_guide_makes_key(config: NodeConfig) -> None:
    plan = planned(config)
    assert plan.trouble is None
    assert plan.secret_bps > 1e6
    assert plan.qber == pytest.approx(0.02, abs=0.002)


def test_rounds_that_are_too_small_and_a_size_that_would_do(config: NodeConfig) -> None:
    plan = planned(config, block_bits=1_600_000)
    assert (plan.secret_bps, plan.trouble) == (0.0, "an average round leaves 0 secret bits")
    found = re.fullmatch(r"raise block_bits: (\d+) would do", plan.remedy or "")
    assert found is not None
    assert planned(config, block_bits=int(found[1])).secret_bps > 0
    assert planned(config, block_bits=int(found[1]) - 200_000).secret_bps == 0


def test_a_line_of_which_nothing_is_left(config: NodeConfig) -> None:
    plan = planned(config, channel=ChannelOptions(loss_db=60.0))
    assert plan.secret_bps == 0
    assert plan.trouble is not None
    assert plan.remedy is not None


def test_a_limit_that_the_line_is_over(config: NodeConfig) -> None:
    plan = planned(config, max_qber=0.01)
    assert plan.secret_bps == 0
    assert "over max_qber, 1 %" in (plan.trouble or "")


def test_links_of_other_kinds_are_not_planned(config: NodeConfig) -> None:
    assert planned_links(replace(config, links=())) == []
