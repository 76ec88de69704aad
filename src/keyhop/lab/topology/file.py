"""What a lab's network is: a TOML file with KMEs, SAEs and links, or the name of one that is shipped.

[[kmes]]   id; network, if there are several: KMEs of different networks know nothing of each other
[[saes]]   id, kme
[[links]]  id, ends = ["alice", "bob"], kind = "rate" or another, and the options of that kind, as in a node.toml
[policy]   optional; passed to every node as it is

Of a bb84 link the first end is the transmitter; of links that a device feeds it is the initiator. A link of kind
etsi014 gets its keys from KMEs of another network, as whose SAEs its ends appear: saes = ["first", "second"]. A link of
kind files gets them from a process that the lab runs: device = {rate_bps, file_bytes}.

What nodes check anyway (policy, the options of links) is not checked here, but by the nodes' own reading of the
configuration when the lab is set up.
"""

import difflib
import itertools
import re
import tomllib
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import msgspec
import tomli_w

from keyhop.core.errors import ConfigurationError

MAX_TOPOLOGY_BYTES = 1 << 20

# Narrower than what the standards allow: in a lab these also name files.
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class Kme(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One site with one node, in one network of possibly several."""

    id: Name
    network: Name = "main"


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


class Topology(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole network; `policy` is the node's `[policy]` section, checked by the nodes."""

    kmes: Annotated[tuple[Kme, ...], msgspec.Meta(min_length=1)]
    saes: tuple[Sae, ...] = ()
    links: tuple[Link, ...] = ()
    policy: dict[str, Any] = {}

    def kme_ids(self) -> list[str]:
        """The KMEs in the order of the file."""
        return [kme.id for kme in self.kmes]

    def networks(self) -> dict[str, str]:
        """The network of each KME."""
        return {kme.id: kme.network for kme in self.kmes}

    def home(self, sae: str) -> str:
        """The KME that serves an SAE. Raises KeyError."""
        return {each.id: each.kme for each in self.saes}[sae]

    def neighbours(self, kme: str) -> list[str]:
        """The other KMEs of its network."""
        networks = self.networks()
        return [other for other in self.kme_ids() if other != kme and networks[other] == networks[kme]]


def shipped_topologies() -> list[str]:
    """The names that `load_topology` takes instead of a path."""
    folder = resources.files("keyhop.lab") / "topologies"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_topology(source: str | Path) -> Topology:
    """The topology at a path, or the shipped one of that name. Raises ConfigurationError."""
    if isinstance(source, str) and source in shipped_topologies():
        text = (resources.files("keyhop.lab") / "topologies" / f"{source}.toml").read_text(encoding="utf-8")
        return parse_topology(text, origin=source)
    path = Path(source)
    try:
        if path.stat().st_size > MAX_TOPOLOGY_BYTES:
            raise ConfigurationError(f"{path}: larger than {MAX_TOPOLOGY_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
    except OSError as failure:
        shipped = ", ".join(shipped_topologies())
        raise ConfigurationError(
            f"cannot read the topology {source}: {failure.strerror}",
            hint=f"give the path of a TOML file, or one of the shipped topologies: {shipped}",
        ) from failure
    except UnicodeDecodeError as failure:
        raise ConfigurationError(f"{path}: not UTF-8 text") from failure
    return parse_topology(text, origin=str(path))


def parse_topology(text: str, *, origin: str) -> Topology:
    """A topology from TOML text; `origin` names it in errors. Raises ConfigurationError."""
    try:
        topology = msgspec.convert(_with_options(tomllib.loads(text)), Topology)
    except tomllib.TOMLDecodeError as failure:
        raise ConfigurationError(f"{origin}: {failure}") from failure
    except msgspec.ValidationError as failure:
        raise _unknown_key(str(failure), origin) or ConfigurationError(f"{origin}: {failure}") from failure
    _check_references(topology, origin)
    return topology


def topology_text(topology: Topology) -> str:
    """The topology as TOML, which `parse_topology` takes."""
    document: dict[str, Any] = msgspec.to_builtins(topology)
    for link in document["links"]:
        link |= link.pop("options", {})
    return tomli_w.dumps(document)


def _with_options(document: dict[str, Any]) -> dict[str, Any]:
    """In a file, a link's options stand beside its other keys."""
    links = document.get("links")
    if not isinstance(links, list) or not all(isinstance(link, dict) for link in links):
        return document
    own = {field.encode_name for field in msgspec.structs.fields(Link)} - {"options"}
    parted = [
        {key: value for key, value in link.items() if key in own}
        | {"options": {key: value for key, value in link.items() if key not in own}}
        for link in links
    ]
    return document | {"links": parted}


def _unknown_key(complaint: str, origin: str) -> ConfigurationError | None:
    """In the words that node.toml has for it."""
    unknown = re.search(r"unknown field `([^`]+)`(?: - at `\$\.(\w+)\[)?", complaint)
    if unknown is None:
        return None
    key, section = unknown.groups()
    parts: dict[str | None, type[msgspec.Struct]] = {"kmes": Kme, "saes": Sae, "links": Link}
    part = parts.get(section, Topology)
    known = [field.name for field in msgspec.structs.fields(part)]
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    inside = f" in [[{section}]]" if section else ""
    hint = f'did you mean "{nearest[0]}"?' if nearest else f"known here: {', '.join(known)}"
    return ConfigurationError(f'{origin}: unknown key "{key}"{inside}', hint=hint)


def _check_references(topology: Topology, origin: str) -> None:
    for kind, ids in (
        ("KME", topology.kme_ids()),
        ("SAE", [sae.id for sae in topology.saes]),
        ("link", [link.id for link in topology.links]),
    ):
        twice = [name for name, count in Counter(ids).items() if count > 1]
        if twice:
            raise ConfigurationError(f"{origin}: {kind} `{twice[0]}` stands there twice")
    known = topology.kme_ids()
    mentions = [(f"SAE `{sae.id}`", sae.kme) for sae in topology.saes]
    mentions += [(f"link `{link.id}`", end) for link in topology.links for end in link.ends]
    for who, kme in mentions:
        if kme not in known:
            raise ConfigurationError(
                f"{origin}: {who} names the KME `{kme}`, which is not there",
                hint=f"the KMEs are: {', '.join(known)}",
            )
    for link in topology.links:
        if link.ends[0] == link.ends[1]:
            raise ConfigurationError(f"{origin}: link `{link.id}` has both ends at `{link.ends[0]}`")
    _check_networks(topology, origin)
    _check_joined(topology, origin)


def _check_networks(topology: Topology, origin: str) -> None:
    networks = topology.networks()
    saes = {sae.id for sae in topology.saes}
    for link in topology.links:
        if networks[link.ends[0]] != networks[link.ends[1]]:
            raise ConfigurationError(f"{origin}: link `{link.id}` joins two networks")
        if len(link.saes) != (2 if link.kind == "etsi014" else 0):
            raise ConfigurationError(
                f"{origin}: link `{link.id}`: a link of kind etsi014, and no other, has two saes",
                hint='saes = ["who the first end is", "who the second end is"] at the KMEs that feed the link',
            )
        for sae in link.saes:
            if sae not in saes:
                raise ConfigurationError(f"{origin}: link `{link.id}` names the SAE `{sae}`, which is not there")
            if networks[topology.home(sae)] == networks[link.ends[0]]:
                raise ConfigurationError(
                    f"{origin}: link `{link.id}` would be fed by its own network: `{sae}` is an SAE of it",
                    hint="give the KMEs that feed it a network of their own",
                )


def _check_joined(topology: Topology, origin: str) -> None:
    """Every two KMEs need a link: keys go between neighbours only, and a node waits for a key with each other one."""
    joined = {frozenset(link.ends) for link in topology.links}
    networks = topology.networks()
    for first, second in itertools.combinations(topology.kme_ids(), 2):
        if networks[first] == networks[second] and frozenset((first, second)) not in joined:
            raise ConfigurationError(
                f"{origin}: no link joins the KMEs `{first}` and `{second}`",
                hint=f'add one to [[links]] with ends = ["{first}", "{second}"]: every two KMEs need a link so far',
            )
