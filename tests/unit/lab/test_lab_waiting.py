"""How long a lab is waited for, and how the end of a log is shown."""

from pathlib import Path

from keyhop.core.ids import LinkId
from keyhop.lab.layout import Layout
from keyhop.lab.managed import LOG_TAIL_LINES, Managed
from keyhop.lab.setup import set_up
from keyhop.lab.topology import Topology, load_topology
from keyhop.lab.waiting import COMPILING_S, READY_TIMEOUT_S, ROUNDS, STARTING_S, planned, usual_timeout_s
from keyhop.node.planned import PlannedLink


def configurations(directory: Path, topology: Topology) -> list[Path]:
    layout = Layout(directory)
    set_up(layout, topology)
    return [layout.config(kme) for kme in topology.kme_ids()]


def test_many_nodes_and_slow_rounds_are_waited_for() -> None:
    slow, dark = (PlannedLink(LinkId("a-b"), "receiver", 1.0, 0.03, round_s) for round_s in (200.0, None))
    least_s = READY_TIMEOUT_S + 2 * STARTING_S
    assert usual_timeout_s(2, []) == least_s
    assert usual_timeout_s(2, [dark]) == least_s + COMPILING_S
    assert usual_timeout_s(2, [slow, dark]) == least_s + COMPILING_S + ROUNDS * 200.0
    assert usual_timeout_s(12, []) == READY_TIMEOUT_S + 12 * STARTING_S


def test_each_bb84_link_is_planned_once(tmp_path: Path) -> None:
    (plan,) = planned(configurations(tmp_path, load_topology("two-sites")))
    assert (plan.link, plan.role, plan.warning) == ("alice-bob", "receiver", None)
    assert 700_000 < plan.secret_bps < 750_000


def test_a_broken_configuration_is_left_to_its_node(tmp_path: Path) -> None:
    paths = configurations(tmp_path, load_topology("two-sites"))
    for path in paths:
        path.write_text("polcy = 1\n" + path.read_text())
    assert planned(paths) == []


def test_a_log_of_json_is_shown_as_text(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    node = Managed("alice", (), log, tmp_path / "node.pid")
    assert node.log_tail() == "(empty)"
    line = '{"event": "link", "link": "a-b", "text": "off", "level": "info", "logger": "x", "timestamp": "12:00"}'
    log.write_text("\n".join(["old"] * LOG_TAIL_LINES + [line, "Traceback:", '["no", "object"]', "[" * 100_000]))
    assert node.log_tail().splitlines()[-4:-1] == [
        "12:00  info  link  link=a-b  text=off",
        "Traceback:",
        '["no", "object"]',
    ]
    assert len(node.log_tail().splitlines()) == LOG_TAIL_LINES
