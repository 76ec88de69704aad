"""What must hold between the sections about other domains, and between them and the rest."""

from typing import TYPE_CHECKING

from keyhop.core.errors import BadRequest, ConfigurationError
from keyhop.core.ids import kme_id, sae_id
from keyhop.core.names import hint_of_names
from keyhop.service.etsi020.callbacks import origin_of

if TYPE_CHECKING:
    from keyhop.node.config.node_config import NodeConfig


def check(config: "NodeConfig") -> None:
    """Raises ConfigurationError at the first rule that is broken."""
    if config.gateways and config.etsi020.listen is None:
        raise ConfigurationError(
            "[[gateways]] needs [etsi020] listen", hint="other KMSs acknowledge there, and hand their keys over"
        )
    if (config.etsi020.certificate is None) != (config.etsi020.key is None):
        raise ConfigurationError(
            "[etsi020] certificate and key go together", hint="give both, or neither: then those of [tls] are used"
        )
    _check_ids(config)
    _check_urls(config)
    _check_ways(config)
    _check_saes(config)


def _check_ids(config: "NodeConfig") -> None:
    taken = {config.node.id: "this node", **{kme.id: f"[[kmes]] {kme.id}" for kme in config.kmes}}
    for gateway in config.gateways:
        where = f"[[gateways]] {gateway.id}"
        try:
            kme_id(gateway.id)
        except BadRequest as failure:
            raise ConfigurationError(f"{where}: {failure.message}") from None
        if gateway.id in taken:
            raise ConfigurationError(f"{where} has the ID of {taken[gateway.id]}", hint="give it a name of its own")
        taken[gateway.id] = where


def _check_urls(config: "NodeConfig") -> None:
    for gateway in config.gateways:
        named = {"url": gateway.url, "callback_url": gateway.callback_url}
        named |= {f"callback_addresses {n}": url for n, url in enumerate(gateway.callback_addresses, 1)}
        for field, url in named.items():
            if origin_of(url) is None:
                raise ConfigurationError(
                    f"[[gateways]] {gateway.id}: {field} = {url!r} is no https address",
                    hint="https://host:port, without a user in it",
                )


def _check_ways(config: "NodeConfig") -> None:
    others = {kme.id for kme in config.kmes}
    for section in config.foreign_saes:
        if section.kme == config.node.id:
            raise ConfigurationError(
                f"[[foreign_saes]] kme = {section.kme!r} is this node", hint="name its SAEs in [[gateways]] instead"
            )
        if section.kme not in others:
            raise ConfigurationError(
                f"[[foreign_saes]]: unknown KME {section.kme!r}",
                hint=hint_of_names(section.kme, sorted(others), "those of [[kmes]] are"),
            )


def _check_saes(config: "NodeConfig") -> None:
    ours = {str(sae.id) for sae in config.saes}
    taken: dict[str, str] = {}
    sections = [(f"[[gateways]] {gateway.id}", gateway.saes) for gateway in config.gateways]
    sections += [(f"[[foreign_saes]] of {section.kme}", section.saes) for section in config.foreign_saes]
    for where, names in sections:
        for name in names:
            try:
                sae_id(name)
            except BadRequest as failure:
                raise ConfigurationError(f"{where}: saes has {name!r}: {failure.message}") from None
            if name in ours:
                raise ConfigurationError(
                    f"{where}: SAE {name} stands in [[saes]] too", hint="an SAE is of this domain or of another one"
                )
            if name in taken:
                raise ConfigurationError(
                    f"{where}: {name} stands in {taken[name]} too", hint="one gateway leads to an SAE"
                )
            taken[name] = where
