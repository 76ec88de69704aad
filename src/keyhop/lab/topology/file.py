"""Topologies as TOML."""

import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from keyhop.core.errors import ConfigurationError
from keyhop.core.names import hint_of_names
from keyhop.lab.topology.model import Delay, Gateway, Kme, Link, Sae, Topology
from keyhop.lab.topology.rules import check

MAX_TOPOLOGY_BYTES = 1 << 20


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
    check(topology, origin)
    return topology


def topology_text(topology: Topology) -> str:
    """The topology as TOML, which `parse_topology` takes."""
    document: dict[str, Any] = msgspec.to_builtins(topology)
    for link in document.get("links", ()):
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
    parts: dict[str | None, type[msgspec.Struct]] = {
        "kmes": Kme,
        "saes": Sae,
        "links": Link,
        "gateways": Gateway,
        "delays": Delay,
    }
    part = parts.get(section, Topology)
    known = [field.name for field in msgspec.structs.fields(part)]
    inside = f" in [[{section}]]" if section else ""
    return ConfigurationError(f'{origin}: unknown key "{key}"{inside}', hint=hint_of_names(key, known, "known here"))
