"""What a node takes over from its configuration while it runs."""

from dataclasses import replace

from keyhop.node.config import NodeConfig

_RESTART_ONLY = (
    "node",
    "tls",
    "etsi014",
    "management",
    "peers",
    "store",
    "audit",
    "kmes",
    "links",
    "etsi020",
    "gateways",
)


def taken_over(running: NodeConfig, config: NodeConfig) -> tuple[NodeConfig, list[str]]:
    """What holds from now on, and the sections of the new one that wait for a restart."""
    stays = {name: getattr(running, name) for name in _RESTART_ONLY}
    waiting = [name for name, value in stays.items() if getattr(config, name) != value]
    return replace(config, **stays), waiting
