"""What must hold before a node starts: its files, its links' options, and where it keeps its data.

`keyhop node run` and `keyhop node check` ask the same. It changes nothing and takes no address.
"""

import os
from pathlib import Path

from keyhop.core.clock import Clock
from keyhop.core.errors import ConfigurationError
from keyhop.core.store.sqlite import check_key_is_not_lost, load_store_key
from keyhop.link.registry import make_adapter
from keyhop.node.config import NodeConfig
from keyhop.node.credentials import credentials_of
from keyhop.node.from_config import psks
from keyhop.node.link_end import unconnected_end
from keyhop.node.node_gateway import NodeGateway


def preflight(config: NodeConfig, clock: Clock) -> None:
    """Raises ConfigurationError at the first thing that would keep the node from starting."""
    credentials_of(config, clock)
    NodeGateway(config, clock)
    psks(config)
    for link in config.links:
        end = unconnected_end(link, config.node.id, lab=config.node.lab, clock=clock)
        make_adapter(link.kind, link.options, end)
    if config.store.kind == "sqlite":
        _check_writable(config.node.data_dir, "[node] data_dir")
        check_key_is_not_lost(config.store_key_file, config.store_file)
        _check_store_key(config.store_key_file, config.node.data_dir)
        if config.store.witness is not None:
            _check_witness(config.store.witness)
    _check_writable(config.audit_directory, "[audit] directory")


def _check_writable(path: Path, field: str) -> None:
    nearest = _nearest_existing(path)
    if not nearest.is_dir():
        raise ConfigurationError(
            f"{field} {path}: {nearest} is not a directory", hint="give a directory, or remove what is there"
        )
    if not os.access(nearest, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"{field} {path}: this user may not write in {nearest}",
            hint="run the node as the owner of that directory, or give another one",
        )


def _check_store_key(path: Path, data_dir: Path) -> None:
    try:
        if path.exists():
            load_store_key(path)
        elif path.parent != data_dir and not path.parent.is_dir():
            raise ConfigurationError(
                f"[store] key_file {path}: there is no directory {path.parent}", hint=f"mkdir -p {path.parent}"
            )
    except OSError as failure:
        raise ConfigurationError(
            f"[store] key_file {path}: {failure.strerror}", hint="the user who runs the node must be able to read it"
        ) from None


def _check_witness(path: Path) -> None:
    """Whether it can be kept there; what it says is for the start, since a node that runs keeps it locked."""
    if not path.parent.is_dir():
        raise ConfigurationError(
            f"[store] witness {path}: there is no directory {path.parent}", hint=f"mkdir -p {path.parent}"
        )
    if not os.access(path if path.exists() else path.parent, os.R_OK | os.W_OK):
        raise ConfigurationError(
            f"[store] witness {path}: this user may not write it",
            hint="the user who runs the node must be able to read and write it",
        )


def _nearest_existing(path: Path) -> Path:
    """The path itself, or the directory in which it would be made."""
    return next(each for each in (path, *path.parents) if os.path.lexists(each))
