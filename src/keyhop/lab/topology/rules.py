"""What must hold between the parts of a topology; every violation is a ConfigurationError."""

from collections import Counter

from keyhop.core.errors import ConfigurationError
from keyhop.core.names import hint_of_names
from keyhop.lab.topology.model import Topology, reached


def check(topology: Topology, origin: str) -> None:
    """Raises ConfigurationError at the first rule that is broken; `origin` names the file."""
    _check_names(topology, origin)
    _check_references(topology, origin)
    _check_networks(topology, origin)
    _check_gateways(topology, origin)
    _check_delays(topology, origin)
    _check_connected(topology, origin)


def _check_names(topology: Topology, origin: str) -> None:
    for kind, ids in (
        ("KME", topology.kme_ids()),
        ("SAE", [sae.id for sae in topology.all_saes()]),
        ("link", [link.id for link in topology.links]),
    ):
        twice = [name for name, count in Counter(ids).items() if count > 1]
        if twice:
            raise ConfigurationError(f"{origin}: {kind} `{twice[0]}` stands there twice")


def _check_references(topology: Topology, origin: str) -> None:
    known = topology.kme_ids()
    mentions = [(f"SAE `{sae.id}`", sae.kme) for sae in topology.saes]
    mentions += [(f"link `{link.id}`", end) for link in topology.links for end in link.ends]
    mentions += [("[[gateways]]", end) for gateway in topology.gateways for end in gateway.ends]
    mentions += [("[[delays]]", end) for delay in topology.delays for end in delay.ends]
    for who, kme in mentions:
        if kme not in known:
            raise ConfigurationError(
                f"{origin}: {who} names the KME `{kme}`, which is not there",
                hint=hint_of_names(kme, known, "the KMEs are"),
            )
    for link in topology.links:
        if link.ends[0] == link.ends[1]:
            raise ConfigurationError(f"{origin}: link `{link.id}` has both ends at `{link.ends[0]}`")


def _check_networks(topology: Topology, origin: str) -> None:
    networks = topology.networks()
    saes = {sae.id for sae in topology.all_saes()}
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


def _check_gateways(topology: Topology, origin: str) -> None:
    networks = topology.networks()
    joined: list[tuple[str, str]] = []
    for gateway in topology.gateways:
        one, other = (networks[end] for end in gateway.ends)
        if one == other:
            raise ConfigurationError(f"{origin}: [[gateways]] {' and '.join(gateway.ends)} are of one network")
        if other in reached(one, joined):
            raise ConfigurationError(
                f"{origin}: [[gateways]] {' and '.join(gateway.ends)} join two networks that are joined already",
                hint="one way leads to an SAE, so networks cannot be joined in a ring",
            )
        joined.append((one, other))


def _check_delays(topology: Topology, origin: str) -> None:
    networks = topology.networks()
    joined = {frozenset(gateway.ends) for gateway in topology.gateways}
    seen: set[frozenset[str]] = set()
    for delay in topology.delays:
        first, second = delay.ends
        if frozenset(delay.ends) in seen:
            raise ConfigurationError(f"{origin}: there are two [[delays]] between `{first}` and `{second}`")
        seen.add(frozenset(delay.ends))
        same = networks[first] == networks[second]
        if first == second or not (same or frozenset(delay.ends) in joined):
            raise ConfigurationError(
                f"{origin}: [[delays]] between `{first}` and `{second}`, which have nothing to say to each other",
                hint="name two KMEs of one network, or of [[gateways]]",
            )


def _check_connected(topology: Topology, origin: str) -> None:
    """Keys go over links, directly or relayed."""
    for network in dict.fromkeys(topology.networks().values()):
        members = [kme.id for kme in topology.kmes if kme.network == network]
        together = reached(members[0], [link.ends for link in topology.links])
        apart = [kme for kme in members if kme not in together]
        if apart:
            raise ConfigurationError(
                f"{origin}: no links lead from the KME `{members[0]}` to `{apart[0]}`",
                hint="keys go over links, from KME to KME if need be: add some to [[links]]",
            )
