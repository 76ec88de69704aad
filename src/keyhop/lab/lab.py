"""A whole network of real node processes on loopback, kept in one directory.

What is true of a lab stands in its directory and in the running processes, not in a `Lab` object: several may
look at the same lab, from several programs.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Self

import msgspec

from keyhop.core.errors import ConfigurationError
from keyhop.core.names import hint_of_names
from keyhop.lab.delay_proxy import delay_proxy
from keyhop.lab.file_device import file_device
from keyhop.lab.inventory import Inventory, SaeEntry
from keyhop.lab.layout import Layout
from keyhop.lab.managed import Managed, stop_all
from keyhop.lab.node import LabNode, NodeState
from keyhop.lab.setup import set_up
from keyhop.lab.topology import Topology, load_topology
from keyhop.lab.waiting import (
    LabError,
    NotReady,
    Progress,
    lacks_nothing,
    planned,
    raise_if_off,
    usual_timeout_s,
    wait_until,
)
from keyhop.management import Management
from keyhop.node.planned import PlannedLink
from keyhop.node.state import Disturbance
from keyhop.pki.files import PUBLIC, write_file


def _silent(message: str) -> None:
    """Progress that nobody wants to see."""


class Lab:
    """One lab. `up` makes or resumes it, `load` finds it again."""

    def __init__(self, layout: Layout, topology: Topology) -> None:
        self._layout = layout
        self._topology = topology
        self._nodes = {kme: LabNode(layout, kme) for kme in topology.kme_ids()}
        self._devices = [file_device(layout, link) for link in topology.links if link.kind == "files"]
        self._devices += [delay_proxy(layout, delay) for delay in topology.delays]

    @property
    def directory(self) -> Path:
        """Where it is kept."""
        return self._layout.directory

    @classmethod
    def up(
        cls,
        topology: str | Path | Topology,
        directory: Path,
        *,
        timeout_s: float | None = None,
        keep_late: bool = False,
        progress: Progress = _silent,
    ) -> Self:
        """Start every node and device that does not run, wait until all are ready, write lab.json.

        Raises ConfigurationError, or LabError when a node ends or is not ready within `timeout_s` seconds, or a link
        was stopped by an operator; what it started is stopped again then. `keep_late` leaves running what runs, ready
        or not. Without `timeout_s` it is a minute, and more for each node and for bb84 links, by how long their rounds
        take.
        """
        if not isinstance(topology, Topology):
            topology = load_topology(topology)
        lab = cls(Layout(directory), topology)
        if not lab._layout.topology.exists():
            progress("making certificates, link secrets and configuration")
        set_up(lab._layout, topology)
        plans = lab._plans()
        for plan in plans:
            if plan.warning:
                progress(plan.warning)
        started: list[Managed] = []
        try:
            usual_s = usual_timeout_s(len(lab._nodes), plans)
            lab._bring_up(started, usual_s if timeout_s is None else timeout_s, progress)
        except NotReady:
            if keep_late:
                lab._record()
            else:
                stop_all(started)
            raise
        except BaseException:
            stop_all(started)
            raise
        lab._record()
        return lab

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The lab that was set up in `directory`. Raises ConfigurationError."""
        layout = Layout(directory)
        if not layout.topology.exists():
            raise ConfigurationError(
                f"there is no lab in {layout.directory}",
                hint=f"make one: keyhop lab up two-sites --dir {directory} --detach",
            )
        return cls(layout, load_topology(layout.topology))

    def start(self, kme: str, *, timeout_s: float | None = None) -> int:
        """Bring one node (back) up and wait until it is ready; its process ID. Raises LabError.

        While others are stopped it lacks keys for them; then it is waited for until it answers. Without `timeout_s` it
        is given as long as in a whole lab.
        """
        node = self._node(kme)
        if timeout_s is None:
            timeout_s = usual_timeout_s(len(self._nodes), self._plans())
        for device in self._devices:
            if device.process() is None:
                device.spawn()
        process = node.process() or node.spawn()
        self._record()
        wait_until(self._is_as_ready_as_it_can_be, [node], self._devices, timeout_s, _silent)
        return process.pid

    def kill(self, kme: str) -> None:
        """`kill -9`: the node gets no chance to end in order."""
        self._node(kme).kill()
        self._record()

    def down(self) -> None:
        """Stop every node and device in order, and with force those that do not end within 15 s."""
        stop_all([*self._nodes.values(), *self._devices])
        self._record()

    def inventory(self) -> Inventory:
        """Who is in the lab, with the processes that run now."""
        saes = []
        for sae in self._topology.all_saes():
            certificate, key = self._layout.sae_certificate(sae.id)
            saes.append(SaeEntry(id=sae.id, kme=sae.kme, cert=str(certificate), key=str(key)))
        kmes = tuple(node.entry() for node in self._nodes.values())
        return Inventory(ca=str(self._layout.ca), kmes=kmes, saes=tuple(saes))

    def state(self) -> list[NodeState]:
        """Every node as it is now."""
        return [node.state() for node in self._nodes.values()]

    def running(self) -> list[str]:
        """The IDs of the nodes that run now."""
        return [node.id for node in self._nodes.values() if node.process()]

    def stopped(self) -> list[str]:
        """The IDs of the nodes that do not run now."""
        running = self.running()
        return [kme for kme in self._nodes if kme not in running]

    def management(self, link: str | None = None, *, down: bool = False) -> dict[str, Management]:
        """The management API of every node that runs, or of those at the ends of a link; with `down` also of those
        that do not run. Raises ConfigurationError."""
        names = self._ends(link) if link is not None else list(self._nodes)
        return {kme: self._nodes[kme].management() for kme in names if down or self._nodes[kme].process()}

    def links(self) -> dict[str, tuple[str, str]]:
        """The links by ID, with the KMEs at their ends."""
        return {link.id: link.ends for link in self._topology.links}

    def disturb(self, link: str, change: Callable[[Disturbance], Disturbance]) -> Disturbance:
        """The line of a simulated link suffers what `change` makes of what it suffers now; returns that.

        Raises ConfigurationError, LabError, and what the management API raises.
        """
        ends = self.management(link)
        if len(ends) < 2:
            raise LabError(f"the line of {link} can be disturbed only while the nodes at both ends run")
        disturbance = change(next(iter(ends.values())).disturbance(link))
        for end in ends.values():
            end.disturb(link, disturbance)
        return disturbance

    def _plans(self) -> list[PlannedLink]:
        return planned([self._layout.config(kme) for kme in self._nodes])

    def _ends(self, link: str) -> tuple[str, str]:
        links = self.links()
        if link not in links:
            raise ConfigurationError(
                f"there is no link `{link}` in this lab", hint=hint_of_names(link, links, "its links are")
            )
        return links[link]

    def _record(self) -> None:
        document = msgspec.json.format(msgspec.json.encode(self.inventory()), indent=2)
        write_file(self._layout.inventory, document + b"\n", PUBLIC)

    def _node(self, kme: str) -> LabNode:
        if kme not in self._nodes:
            raise ConfigurationError(
                f"there is no node `{kme}` in this lab", hint=hint_of_names(kme, self._nodes, "its nodes are")
            )
        return self._nodes[kme]

    def _is_as_ready_as_it_can_be(self, node: LabNode) -> bool:
        return lacks_nothing(node) or (node.answers() and bool(self.stopped()))

    def _bring_up(self, started: list[Managed], timeout_s: float, progress: Progress) -> None:
        """Puts what it starts into `started`."""
        for each in (*self._devices, *self._nodes.values()):
            if each.process() is None:
                progress(f"starting {each.id}")
                started.append(each)
                each.spawn()
        nodes = list(self._nodes.values())
        raise_if_off([node for node in nodes if node not in started], self.directory)
        wait_until(lacks_nothing, nodes, self._devices, timeout_s, progress)
