"""What must hold between the fields of a configuration; every violation is a ConfigurationError with a hint."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from keyhop.core.errors import BadRequest, ConfigurationError
from keyhop.core.ids import kme_id, link_id, sae_id
from keyhop.node.address import host_and_port
from keyhop.service.identity import SaeDirectory
from keyhop.service.policy import ANYONE

if TYPE_CHECKING:
    from keyhop.node.config import NodeConfig


def check(config: "NodeConfig") -> None:
    """Raises ConfigurationError at the first rule that is broken."""
    _check_ids(config)
    _check_addresses(config)
    _check_references(config)
    _check_policy(config)
    SaeDirectory(tuple(sae.entry() for sae in config.saes))


def _check_ids(config: "NodeConfig") -> None:
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
    taken: dict[tuple[str, int], str] = {}
    for where, text in listeners.items():
        address = host_and_port(text, where, lowest_port=0)
        other = taken.setdefault(address, where)
        if other != where and address[1]:
            raise ConfigurationError(f"{other} and {where} are both {text}", hint="give each its own port")
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
    saes = {sae.id for sae in config.saes}
    for rule in config.policy.allow:
        for name in (rule.master, rule.slave):
            if name != ANYONE and name not in saes:
                raise _unknown("[[policy.allow]]", "SAE", name, saes)


def _unknown(where: str, kind: str, name: str, known: Iterable[str]) -> ConfigurationError:
    section = "[[saes]]" if kind == "SAE" else "[[kmes]]"
    return ConfigurationError(
        f'{where} names the {kind} "{name}", which is not in {section}',
        hint=f"the {kind}s are: {', '.join(sorted(known)) or 'none'}",
    )


def _check_policy(config: "NodeConfig") -> None:
    policy = config.policy
    if not policy.min_size_bits <= policy.default_size_bits <= policy.max_size_bits:
        raise ConfigurationError(
            f"[policy] min_size_bits {policy.min_size_bits}, default_size_bits {policy.default_size_bits} and "
            f"max_size_bits {policy.max_size_bits} are not in this order",
            hint="min_size_bits <= default_size_bits <= max_size_bits",
        )
