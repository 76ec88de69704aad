"""What the layers want of a node.toml, each in its own terms."""

from collections import Counter

from keyhop.core.errors import ConfigurationError
from keyhop.core.ids import KmeId
from keyhop.core.store.base import KeyStore
from keyhop.core.store.memory import MemoryStore
from keyhop.core.store.sqlite import SqliteStore, check_key_is_not_lost, load_store_key
from keyhop.network.pair import PairOptions
from keyhop.network.psk.generations import Psks
from keyhop.node.config import NodeConfig
from keyhop.node.config.gateways import foreign_saes
from keyhop.pki.psk import load_psk
from keyhop.service.etsi014.surroundings import Limits
from keyhop.service.identity import SaeDirectory
from keyhop.service.kme_options import KmeOptions
from keyhop.service.policy import sae_pairs, stream_terms


def open_store(config: NodeConfig) -> KeyStore:
    """The store, made when there is none. Raises ConfigurationError and StoreFailure."""
    if config.store.kind == "memory":
        return MemoryStore()
    config.node.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_key_is_not_lost(config.store_key_file, config.store_file)
    return SqliteStore(config.store_file, load_store_key(config.store_key_file))


def sae_directory(config: NodeConfig, kme: KmeId | None = None) -> SaeDirectory:
    """All SAEs of the network, or those of one KME: nobody else may call there. Raises ConfigurationError."""
    entries = tuple(sae.entry() for sae in config.saes if kme in (None, sae.kme))
    return SaeDirectory(entries, foreign_saes(config) if kme is None else None)


def kme_options(config: NodeConfig, directory: SaeDirectory, me: KmeId) -> KmeOptions:
    """What may change while the KME `me` runs, whatever name the file has for it now."""
    policy = config.policy
    pairs = PairOptions(
        policy.stock_bytes,
        policy.unfetched_bytes,
        policy.key_lifetime_s,
        policy.reserved_bytes_per_pair,
        policy.policy().has_hybrid,
        policy.policy().has_expand,
    )
    limits = tuple(entry.limit() for entry in policy.limits)
    whole, terms = policy.policy(), config.relay.terms()
    sharing = sae_pairs(whole, directory.homes, me)
    return KmeOptions(
        whole,
        pairs,
        limits,
        sharing,
        terms,
        stream_terms(whole, sharing, terms),
        config.relay.feeder(policy.stock_bytes),
        Counter(directory.homes.values()),
        config.relay.most_priorities(kme.id for kme in config.kmes),
        _link_priorities(config),
    )


def _link_priorities(config: NodeConfig) -> dict[KmeId, int]:
    """Of the links to each neighbour the highest."""
    priorities: dict[KmeId, int] = {}
    for link in config.links:
        priorities[link.peer] = max(link.priority, priorities.get(link.peer, 0))
    return priorities


def psks(config: NodeConfig) -> Psks:
    """The peers that are authenticated by a key. Raises ConfigurationError for a file that cannot be used."""
    configured = {kme.id: load_psk(kme.psk_file) for kme in config.kmes if kme.psk_file is not None}
    names = list(configured)
    for number, name in enumerate(names):
        for other in names[:number]:
            if configured[name] == configured[other]:
                raise ConfigurationError(
                    f"[[kmes]] {other} and {name} have the same PSK", hint="each two nodes need a key of their own"
                )
    return Psks(configured, config.peers.psk_refresh_s)


def connection_limits(config: NodeConfig) -> Limits:
    """What the ETSI 014 server gives to its clients."""
    section = config.etsi014
    return Limits(
        max_connections=section.max_connections,
        max_connections_per_sae=section.max_connections_per_sae,
        handshake_timeout_s=section.handshake_timeout_s,
        request_timeout_s=section.request_timeout_s,
        idle_timeout_s=section.idle_timeout_s,
        handshake_share=section.handshake_share,
    )
