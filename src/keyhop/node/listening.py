"""Sockets that listen, and why one cannot."""

import errno
import os
import socket

from keyhop.core.errors import ConfigurationError
from keyhop.node.address import host_and_port

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


def not_bound(address: str, failure: OSError) -> ConfigurationError:
    """The error of an address that cannot be listened on, with a hint that fits the reason."""
    number = failure.errno or 0
    if number < 0:  # a number of getaddrinfo's
        return ConfigurationError(f"cannot listen on {address}: unknown host", hint="give an address of this machine")
    # Not failure.strerror: the libraries put the address into it once more.
    return ConfigurationError(f"cannot listen on {address}: {os.strerror(number)}", hint=_HINTS.get(number))
