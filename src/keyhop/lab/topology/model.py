"""What a topology says."""

from typing import Annotated, Any

import msgspec

# Narrower than what the standards allow: in a lab these also name files.
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class Kme(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One site with one node, in one network of possibly several; `saes` counts SAEs that have numbers for names."""

    id: Name
    network: Name = "main"
    saes: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0


class Sae(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An application at the site of `kme`."""

    id: Name
    kme: Name


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What writes key files for a link; secret bits per second, and bytes of a file."""

    rate_bps: Annotated[float, msgspec.Meta(gt=0, le=100_000_000)] = 100_000.0
    file_bytes: Annotated[int, msgspec.Meta(ge=16, le=65_536)] = 1024


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A QKD link between two KMEs; `options` are those of its kind, but for what the lab makes: files, addresses.

    `saes` are who the ends are at the KMEs that feed a link of kind etsi014.
    """

    id: Name
    ends: tuple[Name, Name]
    kind: str = "rate"
    saes: tuple[Name, ...] = ()
    device: Device = Device()
    options: dict[str, Any] = {}


class Gateway(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two KMEs of different networks that hand keys over to each other by ETSI GS QKD 020."""

    ends: tuple[Name, Name]


class Delay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long what two nodes say to each other is on its way, in each direction."""

    ends: tuple[Name, Name]
    one_way_ms: Annotated[float, msgspec.Meta(gt=0, le=10_000)]

    @property
    def id(self) -> str:
        """For people, and for files."""
        return "--".join(self.ends)


class Topology(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A whole network; `policy` and `relay` are the node's sections of these names, checked by the nodes.

    With `psk_refresh_s` nodes know each other by pre-shared keys.
    """

    kmes: Annotated[tuple[Kme, ...], msgspec.Meta(min_length=1)]
    saes: tuple[Sae, ...] = ()
    links: tuple[Link, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    delays: tuple[Delay, ...] = ()
    policy: dict[str, Any] = {}
    relay: dict[str, Any] = {}
    psk_refresh_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 0.0

    def kme_ids(self) -> list[str]:
        """The KMEs in the order of the file."""
        return [kme.id for kme in self.kmes]

    def all_saes(self) -> list[Sae]:
        """Those with names of their own, and those that a KME has by number."""
        numbered = [Sae(f"{kme.id}-{number + 1}", kme.id) for kme in self.kmes for number in range(kme.saes)]
        return [*self.saes, *numbered]

    def networks(self) -> dict[str, str]:
        """The network of each KME."""
        return {kme.id: kme.network for kme in self.kmes}

    def home(self, sae: str) -> str:
        """The KME that serves an SAE. Raises KeyError."""
        return {each.id: each.kme for each in self.all_saes()}[sae]

    def peers(self, kme: str) -> list[str]:
        """The other KMEs of its network."""
        networks = self.networks()
        return [other for other in self.kme_ids() if other != kme and networks[other] == networks[kme]]

    def beyond(self, kme: str) -> dict[str, str]:
        """The other networks' KMEs to which this one hands keys over, and the network of each."""
        networks = self.networks()
        pairs = [gateway.ends for gateway in self.gateways] + [gateway.ends[::-1] for gateway in self.gateways]
        return {far: networks[far] for near, far in pairs if near == kme}

    def saes_beyond(self, kme: str, far: str) -> list[str]:
        """The IDs of the SAEs that this KME reaches through one of another network: of that network, and beyond it."""
        networks = self.networks()
        joined = [(networks[one], networks[other]) for one, other in (gateway.ends for gateway in self.gateways)]
        behind = reached(networks[far], [pair for pair in joined if networks[kme] not in pair])
        return [sae.id for sae in self.all_saes() if networks[sae.kme] in behind]


def reached(start: str, joined: list[tuple[str, str]]) -> set[str]:
    """What is joined with one, directly or over others, and that one."""
    found, front = {start}, [start]
    while front:
        here = front.pop()
        beside = {end for ends in joined if here in ends for end in ends} - found
        found |= beside
        front += beside
    return found
