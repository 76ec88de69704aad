"""Free loopback ports that stay a node's own.

They are taken below the range from which the kernel picks ports for outgoing connections: while a node is
down its peers go on dialling its port, and an outgoing connection that happened to sit on it would keep the
node from coming back (or, on loopback, connect to itself).
"""

import itertools
import random
import socket
from collections.abc import Sequence
from pathlib import Path

from keyhop.core.errors import ConfigurationError

LOOPBACK = "127.0.0.1"
LOWEST_PORT = 10_000
HIGHEST_PORT = 32_767
_OUTGOING_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int) -> list[int]:
    """`count` different ports that nobody listens on now. ConfigurationError when there are fewer."""
    candidates = random.sample(_range(), k=len(_range()))
    chosen = list(itertools.islice(filter(_is_free, candidates), count))
    if len(chosen) < count:
        raise ConfigurationError(f"no {count} free ports on {LOOPBACK}")
    return chosen


def _range() -> Sequence[int]:
    try:
        lowest_outgoing = int(_OUTGOING_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        lowest_outgoing = HIGHEST_PORT
    if lowest_outgoing <= LOWEST_PORT + 1000:  # next to nothing lies below: take the risk
        lowest_outgoing = HIGHEST_PORT
    return range(LOWEST_PORT, min(lowest_outgoing, HIGHEST_PORT))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the nodes' servers do: a port whose last connections are still in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
