"""Ports for the nodes."""

import socket
from pathlib import Path

import pytest

from keyhop.core.errors import ConfigurationError
from keyhop.lab import ports


def test_ports_differ_and_can_be_listened_on() -> None:
    chosen = ports.free_ports(6)
    assert len(set(chosen)) == 6
    for port in chosen:
        with socket.create_server((ports.LOOPBACK, port)):
            pass


def test_a_port_in_use_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    port, spare = sorted(ports.free_ports(2))
    monkeypatch.setattr(ports, "_range", lambda: [port, spare])
    with socket.create_server((ports.LOOPBACK, port)):
        assert ports.free_ports(1) == [spare]
        with pytest.raises(ConfigurationError, match="no 2 free ports"):
            ports.free_ports(2)


def test_ports_lie_below_those_of_outgoing_connections() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    if lowest > ports.LOWEST_PORT + 1000:
        assert max(ports.free_ports(50)) < lowest
