"""On which addresses the nodes of a lab listen, and at which ones they find each other."""

from dataclasses import dataclass
from typing import Self

from keyhop.lab.ports import LOOPBACK, free_ports
from keyhop.lab.topology import Delay, Topology

LISTENERS = ("etsi014", "management", "peers")


@dataclass(frozen=True, slots=True)
class Addresses:
    """All as `host:port`. `listen`: of every KME, per listener. `delayed`: where the second of two KMEs finds the
    first, if there is distance between them."""

    listen: dict[str, dict[str, str]]
    delayed: dict[tuple[str, str], str]

    @classmethod
    def choose(cls, topology: Topology) -> Self:
        """Free ports of this machine. Raises ConfigurationError."""
        kmes = topology.kme_ids()
        ways = [way for delay in topology.delays for way in _both_ways(delay)]
        ports = iter(free_ports(len(kmes) * len(LISTENERS) + len(ways)))
        listen = {kme: {name: f"{LOOPBACK}:{next(ports)}" for name in LISTENERS} for kme in kmes}
        return cls(listen, {way: f"{LOOPBACK}:{next(ports)}" for way in ways})

    def of_peer(self, kme: str, *, caller: str) -> str:
        """Where `caller` finds the node `kme`."""
        return self.delayed.get((kme, caller), self.listen[kme]["peers"])

    def forwards(self, delay: Delay) -> list[tuple[str, str]]:
        """What the process between two nodes does: where it listens, and where it connects to."""
        return [(self.delayed[called, caller], self.listen[called]["peers"]) for called, caller in _both_ways(delay)]


def _both_ways(delay: Delay) -> tuple[tuple[str, str], tuple[str, str]]:
    """Who is called by whom."""
    first, second = delay.ends
    return (first, second), (second, first)
