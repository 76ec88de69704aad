"""Addresses that cannot be listened on: each reason has its own hint."""

import errno
import socket

import pytest

from keyhop.core.errors import ConfigurationError
from keyhop.node.listening import listen, not_bound


def hint_of(address: str) -> tuple[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        listen(address).close()
    return caught.value.message, caught.value.hint or ""


def test_a_taken_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        message, hint = hint_of(address)
    assert message == f"cannot listen on {address}: Address already in use"
    assert "another node" in hint


def test_an_address_of_another_machine() -> None:
    message, hint = hint_of("192.0.2.7:18443")
    assert message == "cannot listen on 192.0.2.7:18443: Cannot assign requested address"
    assert "address of this machine" in hint


def test_a_name_that_does_not_resolve() -> None:
    message, hint = hint_of("nowhere.invalid:18443")
    assert message == "cannot listen on nowhere.invalid:18443: unknown host"
    assert "address of this machine" in hint


def test_a_port_that_needs_a_privilege() -> None:
    error = not_bound("127.0.0.1:443", PermissionError(errno.EACCES, "any text"))
    assert error.message == "cannot listen on 127.0.0.1:443: Permission denied"
    assert "CAP_NET_BIND_SERVICE" in (error.hint or "")
