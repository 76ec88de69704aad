"""On which addresses the nodes of a lab listen, and at which ones they find each other."""

from dataclasses import dataclass
from typing import Self

from keyhop.lab.ports import LOOPBACK, free_ports
from keyhop.lab.topology import Delay, Topology


@dataclass(frozen=True, slots=True)
class Addresses:
    """All as `host:port`. `listen`: of every KME, per listener. `delayed`: where the second of two KMEs finds the
    first, if there is distance between them."""

    listen: dict[str, dict[str, str]]
    delayed: dict[tuple[str, str], str]

    @classmethod
    def choose(cls, topology: Topology) -> Self:
        """Free ports of this machine. Raises ConfigurationError."""
        listeners = {kme: _listeners(topology, kme) for kme in topology.kme_ids()}
        ways = [way for delay in topology.delays for way in _both_ways(delay)]
        ports = free_ports(sum(map(len, listeners.values())) + len(ways))
        addresses = iter([f"{LOOPBACK}:{port}" for port in ports])
        listen = {kme: {name: next(addresses) for name in names} for kme, names in listeners.items()}
        return cls(listen, {way: next(addresses) for way in ways})

    def of_peer(self, kme: str, *, caller: str) -> str:
        """Where `caller` finds the node `kme` of its network."""
        return self.delayed.get((kme, caller), self.listen[kme]["peers"])

    def of_gateway(self, kme: str, *, caller: str) -> str:
        """Where `caller` finds the gateway `kme` of another network."""
        return self.delayed.get((kme, caller), self.listen[kme]["etsi020"])

    def forwards(self, topology: Topology, delay: Delay) -> list[tuple[str, str]]:
        """What the process between two nodes does: where it listens, and where it connects to."""
        networks = topology.networks()
        name = "peers" if networks[delay.ends[0]] == networks[delay.ends[1]] else "etsi020"
        return [(self.delayed[called, caller], self.listen[called][name]) for called, caller in _both_ways(delay)]


def _listeners(topology: Topology, kme: str) -> tuple[str, ...]:
    names = ("etsi014", "management", "peers")
    return (*names, "etsi020") if topology.beyond(kme) else names


def _both_ways(delay: Delay) -> tuple[tuple[str, str], tuple[str, str]]:
    """Who is called by whom."""
    first, second = delay.ends
    return (first, second), (second, first)
