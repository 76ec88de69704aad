"""What must fit together in `[relay]`. Every failure says what to change."""

from collections import Counter
from dataclasses import fields
from typing import TYPE_CHECKING

from keyhop.core.errors import ConfigurationError
from keyhop.core.names import hint_of_names

if TYPE_CHECKING:
    from keyhop.node.config.node_config import NodeConfig
    from keyhop.node.config.relay import RelaySection


def check(config: "NodeConfig") -> None:
    """Raises ConfigurationError."""
    _check_sources(config)
    if config.relay.strategy == "secret-shared":
        _check_shares(config.relay)
    else:
        _check_no_shares(config.relay)


def _check_sources(config: "NodeConfig") -> None:
    known = {kme.id for kme in config.kmes}
    for kme, number in Counter(source.kme for source in config.relay.sources).items():
        if kme not in known:
            raise ConfigurationError(
                f'[[relay.sources]] names the KME "{kme}", which is not in [[kmes]]',
                hint=hint_of_names(kme, sorted(known), "the KMEs are"),
            )
        if number > 1:
            raise ConfigurationError(f"[[relay.sources]] {kme} is there {number} times", hint="give one of them")


def _check_shares(relay: "RelaySection") -> None:
    if not 2 <= relay.least_paths <= relay.paths:
        raise ConfigurationError(
            f"[relay] least_paths {relay.least_paths} and paths {relay.paths} are no numbers of shares",
            hint="with secret-shared: 2 <= least_paths <= paths",
        )
    if relay.threshold == 1 or relay.threshold > relay.least_paths:
        raise ConfigurationError(
            f"[relay] threshold {relay.threshold} with least_paths {relay.least_paths}",
            hint="0 for all shares, or 2 to least_paths: with 1 each node on a path would learn the key",
        )


def _check_no_shares(relay: "RelaySection") -> None:
    """A default that stands there does no harm; what was changed would be believed to work."""
    for field in fields(relay):
        if field.name in ("paths", "least_paths", "threshold") and getattr(relay, field.name) != field.default:
            raise ConfigurationError(
                f'[relay] {field.name} with strategy = "{relay.strategy}", which sends no shares',
                hint=f'give strategy = "secret-shared", or leave {field.name} out',
            )
