"""Where everything of a lab lies in its directory.

DIR/topology.toml            what was set up; its presence says that setting up was finished
DIR/lab.json                 for those who use the lab
DIR/pki/                     the authority, as keyhop.pki lays it out
DIR/links/LINK.secret        what both ends of a rate link derive their blocks from
DIR/links/LINK.enrolment     the first authentication keys of a bb84 link
DIR/links/LINK.pulses        what the pulses of a simulated bb84 link are derived from
DIR/links/LINK/KME/          where the device of a files link drops its keys for one end
DIR/links/LINK/device.log, device.pid
DIR/delays/KME--KME/forwards.json, proxy.log, proxy.pid
DIR/psks/KME+KME.psk         what two nodes know each other by, if not by certificates
DIR/nodes/KME/node.toml, node.log, node.pid, data/, witness
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one lab; all absolute."""

    directory: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "directory", self.directory.resolve())

    @property
    def topology(self) -> Path:
        """The topology that this lab was set up from."""
        return self.directory / "topology.toml"

    @property
    def inventory(self) -> Path:
        """lab.json."""
        return self.directory / "lab.json"

    @property
    def pki(self) -> Path:
        """The directory of the authority."""
        return self.directory / "pki"

    @property
    def ca(self) -> Path:
        """The certificate of the authority."""
        return self.pki / "ca.pem"

    @property
    def crl(self) -> Path:
        """The authority's list of revoked certificates."""
        return self.pki / "crl.pem"

    def node_certificate(self, kme: str) -> tuple[Path, Path]:
        """Certificate and private key of a node."""
        return self.pki / "nodes" / f"{kme}.pem", self.pki / "nodes" / f"{kme}.key"

    def sae_certificate(self, sae: str) -> tuple[Path, Path]:
        """Certificate and private key of an SAE."""
        return self.pki / "saes" / f"{sae}.pem", self.pki / "saes" / f"{sae}.key"

    def psk(self, kme: str, other: str) -> Path:
        """The pre-shared key of two nodes, 32 bytes in hex."""
        return self.directory / "psks" / f"{min(kme, other)}+{max(kme, other)}.psk"

    def link_secret(self, link: str) -> Path:
        """The secret of a rate link, 32 bytes in hex."""
        return self.directory / "links" / f"{link}.secret"

    def link_enrolment(self, link: str) -> Path:
        """The first authentication keys of a bb84 link, in hex."""
        return self.directory / "links" / f"{link}.enrolment"

    def link_pulses(self, link: str) -> Path:
        """What both ends of a simulated bb84 link derive its pulses from, 32 bytes in hex."""
        return self.directory / "links" / f"{link}.pulses"

    def key_files(self, link: str, kme: str) -> Path:
        """Where the device of a files link drops its keys for that end."""
        return self.directory / "links" / link / kme

    def device_log(self, link: str) -> Path:
        """What the device of a files link wrote on stdout and stderr, over all its starts."""
        return self.directory / "links" / link / "device.log"

    def device_pid(self, link: str) -> Path:
        """The process ID of that device's last start."""
        return self.directory / "links" / link / "device.pid"

    def forwards(self, delay: str) -> Path:
        """What the process between two nodes is told."""
        return self.directory / "delays" / delay / "forwards.json"

    def delay_log(self, delay: str) -> Path:
        """What that process wrote on stdout and stderr, over all its starts."""
        return self.directory / "delays" / delay / "proxy.log"

    def delay_pid(self, delay: str) -> Path:
        """The process ID of its last start."""
        return self.directory / "delays" / delay / "proxy.pid"

    def node(self, kme: str) -> Path:
        """The directory of a node."""
        return self.directory / "nodes" / kme

    def config(self, kme: str) -> Path:
        """A node's node.toml."""
        return self.node(kme) / "node.toml"

    def log(self, kme: str) -> Path:
        """What a node wrote on stdout and stderr, over all its starts."""
        return self.node(kme) / "node.log"

    def pid(self, kme: str) -> Path:
        """The process ID of the node's last start."""
        return self.node(kme) / "node.pid"
