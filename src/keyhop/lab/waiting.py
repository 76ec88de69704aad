"""Waiting until nodes are ready, and what is said when they do not become so."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from keyhop.core.errors import ConfigurationError, KeyhopError
from keyhop.lab.managed import Managed
from keyhop.lab.node import LabNode
from keyhop.node.config import load_config
from keyhop.node.planned import PlannedLink, planned_links

READY_TIMEOUT_S = 60.0
STARTING_S = 5.0
"""More for each node: they share the machine, and each starts an interpreter."""
COMPILING_S = 60.0
"""More for bb84 links: the first start on a machine compiles their code."""
ROUNDS = 3
"""A link's first key comes with its first round; the line's aligning and the post-processing take time too."""
_POLL_S = 0.05

type Progress = Callable[[str], None]


class LabError(KeyhopError):
    """A node or device of the lab did not do what was asked of it; the message ends with the end of its log."""

    def __init__(self, complaint: str, *nodes: Managed, hint: str | None = None) -> None:
        tails = [f"the end of {node.log}:\n{node.log_tail()}" for node in nodes]
        super().__init__("\n".join([complaint, *tails]), hint=hint)


class NotReady(LabError):
    """All processes run, and yet the lab is not ready."""


def planned(configurations: Sequence[Path]) -> list[PlannedLink]:
    """What the bb84 links will give, by their receivers, who have the line; `configurations` are the node.tomls."""
    plans = []
    for path in configurations:
        try:
            plans += [plan for plan in planned_links(load_config(path)) if plan.role == "receiver"]
        except ConfigurationError:  # its node will say so, and better
            continue
    return plans


def usual_timeout_s(nodes: int, plans: Sequence[PlannedLink]) -> float:
    """How long a lab of so many nodes and these bb84 links may take until it is ready, in seconds."""
    timeout_s = READY_TIMEOUT_S + STARTING_S * nodes
    if not plans:
        return timeout_s
    return timeout_s + COMPILING_S + ROUNDS * max(plan.round_s or 0.0 for plan in plans)


def raise_if_off(nodes: Sequence[LabNode], directory: Path) -> None:
    """A link that an operator has stopped stays so. Raises NotReady."""
    off = [(link.id, node.id) for node in nodes for link in node.links() if link.state == "off"]
    if off:
        told = ", ".join(f"link {link} is off at {kme}" for link, kme in off)
        raise NotReady(f"{told}: somebody stopped it", hint=f"keyhop link start {off[0][0]} --lab {directory}")


def wait_until(
    enough: Callable[[LabNode], bool],
    nodes: Sequence[LabNode],
    devices: Sequence[Managed],
    timeout_s: float,
    progress: Progress,
) -> None:
    """Until `enough` is true of every node. Raises LabError when a process ends, NotReady after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    for node in nodes:
        progress(f"waiting for {node.id} to be ready")
        told = ""
        while not enough(node):
            _raise_if_ended([*nodes, *devices])
            if time.monotonic() > deadline:
                raise _late(nodes, timeout_s)
            missing = "; ".join(node.readiness().missing)
            if missing and missing != told:
                told = missing
                progress(f"{node.id}: {missing}")
            time.sleep(_POLL_S)


def lacks_nothing(node: LabNode) -> bool:
    """Whether it serves keys for all other KMEs."""
    return not node.readiness().missing


def _raise_if_ended(started: Sequence[Managed]) -> None:
    for each in started:
        if each.process() is None:
            what = "node" if isinstance(each, LabNode) else "process"
            raise LabError(f"the {what} {each.id} ended before it was ready", each)


def _late(nodes: Sequence[LabNode], timeout_s: float) -> NotReady:
    answers = {node: node.readiness() for node in nodes}
    late = {node: answer for node, answer in answers.items() if answer.missing}
    reasons = [f"{node.id}: {'; '.join(answer.missing)}" for node, answer in late.items()]
    hint = "a slow link or machine needs a longer --timeout; with --detach the nodes go on running, to be looked at"
    return NotReady("\n".join([f"not ready after {timeout_s:.4g} s", *reasons]), *late, hint=hint)
