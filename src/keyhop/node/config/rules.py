"""What must hold between the fields of a configuration; every violation is a ConfigurationError with a hint."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from keyhop.core.errors import BadRequest, ConfigurationError
from keyhop.core.ids import SaeId, kme_id, link_id, sae_id
from keyhop.core.names import hint_of_names
from keyhop.node.address import host_and_port
from keyhop.node.config import rules_of_gateways, rules_of_policy, rules_of_relay
from keyhop.node.config.gateways import foreign_saes
from keyhop.service.identity import SaeDirectory
from keyhop.service.meters import Subject
from keyhop.service.policy import ANYONE

if TYPE_CHECKING:
    from keyhop.node.config.node_config import NodeConfig


def check(config: "NodeConfig") -> None:
    """Raises ConfigurationError at the first rule that is broken."""
    check_ids(config)
    _check_addresses(config)
    _check_references(config)
    rules_of_gateways.check(config)
    _check_policy(config)
    rules_of_policy.check(config)
    _check_limits(config)
    rules_of_relay.check(config)
    _check_witness(config)
    _check_psks(config)
    SaeDirectory(tuple(sae.entry() for sae in config.saes))


def check_ids(config: "NodeConfig") -> None:
    """Names are names, each is there once, and no node's certificate makes it an SAE."""
    _check_names("[node] id", [config.node.id], kme_id)
    _check_names("[[kmes]] id", [kme.id for kme in config.kmes], kme_id)
    _check_names("[[saes]] id", [sae.id for sae in config.saes], sae_id)
    _check_names("[[links]] id", [link.id for link in config.links], link_id)
    if config.node.id in {kme.id for kme in config.kmes}:
        raise ConfigurationError(
            f"[[kmes]] {config.node.id} is this node itself", hint="list only the other KMEs in [[kmes]]"
        )
    nodes = {config.node.id, *(kme.id for kme in config.kmes)}
    for sae in config.saes:
        marked = sae.san_uri or sae.fingerprint_sha256
        name = sae.subject_cn or (None if marked else sae.id)
        if name in nodes:
            raise ConfigurationError(
                f"[[saes]] {sae.id}: the certificate of KME {name} has that subject CN too",
                hint="a node's certificate shall not make it an SAE: give the SAE another subject_cn",
            )


def _check_names(where: str, names: list[str], read: Callable[[str], str]) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            raise ConfigurationError(f'{where} = "{name}" stands there {times} times', hint="IDs are unique")
        if name == ANYONE:
            raise ConfigurationError(f'{where} = "{name}" means anyone', hint="choose another ID")
        try:
            read(name)
        except BadRequest as failure:
            raise ConfigurationError(f"{where} = {name!r}: {failure.message}") from None


def _check_addresses(config: "NodeConfig") -> None:
    listeners = {
        "[etsi014] listen": config.etsi014.listen,
        "[management] listen": config.management.listen,
        "[peers] listen": config.peers.listen,
    }
    if config.peers.psk_listen is not None:
        listeners["[peers] psk_listen"] = config.peers.psk_listen
    if config.etsi020.listen is not None:
        listeners["[etsi020] listen"] = config.etsi020.listen
    taken: dict[tuple[str, int], str] = {}
    for where, text in listeners.items():
        address = host_and_port(text, where, lowest_port=0)
        other = taken.setdefault(address, where)
        if other != where and address[1]:
            raise ConfigurationError(f"{other} and {where} are both {text}", hint="give each its own port")
    if config.etsi014.proxy_socket_group is not None and config.etsi014.proxy_socket is None:
        raise ConfigurationError(
            "[etsi014] proxy_socket_group without proxy_socket", hint="name the socket, or leave out its group"
        )
    for kme in config.kmes:
        host_and_port(kme.peer_address, f"[[kmes]] {kme.id} peer_address")


def _check_references(config: "NodeConfig") -> None:
    others = {kme.id for kme in config.kmes}
    for sae in config.saes:
        if sae.kme not in others | {config.node.id}:
            raise _unknown(f"[[saes]] {sae.id}", "KME", sae.kme, others | {config.node.id})
    for link in config.links:
        if link.peer == config.node.id:
            raise ConfigurationError(
                f"[[links]] {link.id} has this node as its peer", hint="name the KME at the other end"
            )
        if link.peer not in others:
            raise _unknown(f"[[links]] {link.id}", "KME", link.peer, others)
    saes, foreign = {sae.id for sae in config.saes}, foreign_saes(config)
    for entry in config.policy.limits:
        for named in (entry.sae, entry.master, entry.slave):
            if named not in (None, ANYONE) and named not in saes and foreign.way_to(SaeId(str(named))) is None:
                raise _unknown("[[policy.limits]]", "SAE", str(named), saes)


def _unknown(where: str, kind: str, name: str, known: Iterable[str]) -> ConfigurationError:
    section = "[[saes]]" if kind == "SAE" else "[[kmes]]"
    return ConfigurationError(
        f'{where} names the {kind} "{name}", which is not in {section}',
        hint=hint_of_names(name, sorted(known), f"the {kind}s are"),
    )


def _check_policy(config: "NodeConfig") -> None:
    policy = config.policy
    if not policy.min_size_bits <= policy.default_size_bits <= policy.max_size_bits:
        raise ConfigurationError(
            f"[policy] min_size_bits {policy.min_size_bits}, default_size_bits {policy.default_size_bits} and "
            f"max_size_bits {policy.max_size_bits} are not in this order",
            hint="min_size_bits <= default_size_bits <= max_size_bits",
        )


_TOGETHER = (("requests_per_s", "requests_burst"), ("bytes_per_s", "bytes_burst"), ("quota_bytes", "quota_period_s"))


def _check_limits(config: "NodeConfig") -> None:
    seen: dict[Subject, int] = {}
    for number, entry in enumerate(config.policy.limits, 1):
        where = f"[[policy.limits]] number {number}"
        if (entry.sae is None) == (entry.master is None and entry.slave is None):
            raise ConfigurationError(
                f"{where} shall name an SAE or a pair", hint="give either sae, or master, slave or both"
            )
        given = [[name for name in names if getattr(entry, name) is not None] for names in _TOGETHER]
        for names, present in zip(_TOGETHER, given, strict=True):
            if len(present) == 1:
                (missing,) = set(names) - set(present)
                raise ConfigurationError(f"{where} has {present[0]} without {missing}", hint="give both or neither")
        if not any(given):
            raise ConfigurationError(
                f"{where} limits nothing", hint="give one of: requests_per_s, bytes_per_s, quota_bytes"
            )
        other = seen.setdefault(entry.limit().of, number)
        if other != number:
            raise ConfigurationError(
                f"{where} is for the same as number {other}", hint="put both into one entry, or remove one"
            )
        most = min(size for size in (entry.bytes_burst, entry.quota_bytes, config.policy.default_size_bits) if size)
        if 8 * most < config.policy.default_size_bits:
            raise ConfigurationError(
                f"{where} allows {most} bytes at most, less than one key",
                hint=f"default_size_bits is {config.policy.default_size_bits}",
            )


def _check_witness(config: "NodeConfig") -> None:
    witness = config.store.witness
    if witness is None:
        return
    if config.store.kind == "memory":
        raise ConfigurationError(
            '[store] witness is of no use with kind = "memory"',
            hint="a store that ends with the node is never restored",
        )
    if config.node.data_dir.resolve() in witness.resolve().parents:
        raise ConfigurationError(
            f"[store] witness {witness} is in [node] data_dir",
            hint="it would be backed up and restored with the store: give a file elsewhere",
        )


def _check_psks(config: "NodeConfig") -> None:
    with_psk = [kme.id for kme in config.kmes if kme.psk_file is not None]
    if with_psk and config.store.kind == "memory":
        raise ConfigurationError(
            f'[[kmes]] {with_psk[0]} psk_file does not go with [store] kind = "memory"',
            hint="the key is refreshed, and a node that forgets the latest one is not let in again",
        )
    dialling = [name for name in with_psk if name < config.node.id]
    if dialling and config.peers.psk_listen is None:
        raise ConfigurationError(
            f"[[kmes]] {dialling[0]} dials this node and has a psk_file, but there is no [peers] psk_listen",
            hint="give it an address of its own: certificates are not spoken there",
        )
    if config.peers.psk_listen is not None and not dialling:
        raise ConfigurationError(
            "[peers] psk_listen is of no use: no KME that dials this node has a psk_file",
            hint="of two nodes the one whose ID comes first dials",
        )
