"""What `keyhop node check` says that a node.toml makes of a node."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keyhop.node.config import NodeConfig


def summary_of(config: "NodeConfig") -> dict[str, Any]:
    """Setting by setting: a value, a list of texts, or None for what is not there."""
    ways = [(gateway.id, gateway.saes) for gateway in config.gateways]
    ways += [(section.kme, section.saes) for section in config.foreign_saes]
    return {
        "id": config.node.id,
        "lab": config.node.lab,
        "data_dir": str(config.node.data_dir),
        "store": config.store.kind,
        "witness": str(config.store.witness) if config.store.witness else None,
        "audit": str(config.audit_directory),
        "etsi014": config.etsi014.listen,
        "management": config.management.listen,
        "peers": config.peers.listen,
        "peers_psk": config.peers.psk_listen,
        "psk_refresh_s": config.peers.psk_refresh_s if any(kme.psk_file for kme in config.kmes) else None,
        "etsi020": config.etsi020.listen,
        "kmes": [f"{kme.id} (PSK)" if kme.psk_file else kme.id for kme in config.kmes],
        "saes": [sae.id for sae in config.saes],
        "links": [f"{link.id} ({link.kind}, to {link.peer})" for link in config.links],
        "gateways": [f"{gateway.id} ({gateway.url})" for gateway in config.gateways],
        "foreign_saes": [f"{name} (by {way})" for way, names in ways for name in names],
        "relay": config.relay.strategy,
        "buffering": config.relay.buffering,
        "min_size_bits": config.policy.min_size_bits,
        "default_size_bits": config.policy.default_size_bits,
        "max_size_bits": config.policy.max_size_bits,
    }


def shown(value: Any) -> str:
    """A value of the summary in a cell."""
    if value is None or value == []:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
