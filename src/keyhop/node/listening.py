"""Sockets that listen, and why one cannot."""

import errno
import grp
import os
import socket
import stat
from pathlib import Path

from keyhop.core.errors import ConfigurationError
from keyhop.network.connections import Connections
from keyhop.node.address import host_and_port
from keyhop.node.config import NodeConfig

_HINTS = {
    errno.EADDRINUSE: "is another node running there?",
    errno.EADDRNOTAVAIL: "give an address of this machine; 0.0.0.0 or [::] stands for all of them",
    errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher port or grant it",
    errno.EAFNOSUPPORT: "this machine does not speak that version of IP",
}


def listen(address: str) -> socket.socket:
    """A socket bound to `host:port`. Raises ConfigurationError when that is not possible."""
    host, port = host_and_port(address, "listen")
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as failure:
        raise not_bound(address, failure) from None


def listen_privately(path: Path, group: str | None) -> socket.socket:
    """A bound unix socket that our user may connect to, and the members of `group`.

    A socket that nobody listens on is replaced. Raises ConfigurationError when that is not possible.
    """
    where = f"[etsi014] proxy_socket {path}"
    try:
        owner = -1 if group is None else grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigurationError(f"{where}: there is no group {group}", hint="getent group lists them") from None
    if _somebody_listens(path):
        raise ConfigurationError(f"{where}: somebody listens there", hint="is another node running?")
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)  # of the whole process, for a moment: the socket is never open to others
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            path.unlink()
        listener.bind(str(path))
        if group is not None:
            os.chown(path, -1, owner)
            path.chmod(0o660)
    except OSError as failure:
        listener.close()
        reason = os.strerror(failure.errno) if failure.errno else str(failure)
        hint = "give a path of at most 107 bytes in a directory where the node's user may write"
        raise ConfigurationError(f"{where}: {reason}", hint=hint) from None
    finally:
        os.umask(before)
    return listener


def listen_for_peers(connections: Connections, config: NodeConfig) -> None:
    """Where peers with certificates come, and where those with pre-shared keys come; not where nobody comes.

    Raises ConfigurationError for an address that cannot be had.
    """
    only_psks = bool(config.kmes) and all(kme.psk_file is not None for kme in config.kmes)
    if not only_psks:
        connections.listen(listen(config.peers.listen))
    if config.peers.psk_listen is not None:
        connections.listen_for_psks(listen(config.peers.psk_listen))


def _somebody_listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            return probe.connect_ex(str(path)) == 0
        except OSError:  # no path for a socket
            return False


def not_bound(address: str, failure: OSError) -> ConfigurationError:
    """The error of an address that cannot be listened on, with a hint that fits the reason."""
    number = failure.errno or 0
    if number < 0:  # a number of getaddrinfo's
        return ConfigurationError(f"cannot listen on {address}: unknown host", hint="give an address of this machine")
    # Not failure.strerror: the libraries put the address into it once more.
    return ConfigurationError(f"cannot listen on {address}: {os.strerror(number)}", hint=_HINTS.get(number))
