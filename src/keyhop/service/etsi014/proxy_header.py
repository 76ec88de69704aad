"""The PROXY protocol's version 2 header, as a TLS off-loader sends it ahead of a connection. No I/O.

Source: https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt, section 2.2. We want one thing of it: the subject
CN of a client certificate that was shown on this very connection and verified. Anything else is refused: there is no
anonymous SAE, and what the off-loader asks on its own account (LOCAL) has no answer here.
"""

import struct
from collections.abc import Iterator

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
MAX_HEADER_BYTES = 16 + 1024

_FIXED_BYTES = 16
_PROXY = 0x21  # version 2, a connection on somebody's behalf
_ADDRESS_BYTES = {0x00: 0, 0x11: 12, 0x21: 36, 0x31: 216}  # unspecified, and streams of IPv4, IPv6 and unix sockets
_TYPE_SSL = 0x20
_TYPE_SSL_CN = 0x22
_CLIENT_SSL_AND_CERT_CONN = 0x01 | 0x02
_VERIFIED = 0


class HeaderRefused(Exception):
    """What came is no header of a verified SAE."""


class ProxyHeader:
    """Collects the header; `common_name` is the SAE's and `rest` what came behind it, once `feed` says True."""

    def __init__(self) -> None:
        self.common_name = ""
        self.rest = b""
        self._collected = b""

    def feed(self, data: bytes) -> bool:
        """Whether the header is whole. Raises HeaderRefused at the first byte that is wrong."""
        self._collected += data
        collected = self._collected
        if collected[: len(SIGNATURE)] != SIGNATURE[: len(collected)]:
            raise HeaderRefused("no PROXY header of version 2")
        if len(collected) < _FIXED_BYTES:
            return False
        command, family, length = struct.unpack_from("!BBH", collected, len(SIGNATURE))
        end = _FIXED_BYTES + length
        if command != _PROXY or family not in _ADDRESS_BYTES or end > MAX_HEADER_BYTES:
            raise HeaderRefused("a PROXY header of another kind")
        if len(collected) < end:
            return False
        at = _FIXED_BYTES + _ADDRESS_BYTES[family]
        self.common_name = _verified_name(_one(collected[at:end], _TYPE_SSL))
        self.rest, self._collected = collected[end:], b""
        return True


def _verified_name(tls: bytes) -> str:
    """Of the value of PP2_TYPE_SSL."""
    if len(tls) < 5:
        raise HeaderRefused("cut short")
    client, verify = struct.unpack_from("!BI", tls)
    if client & _CLIENT_SSL_AND_CERT_CONN != _CLIENT_SSL_AND_CERT_CONN or verify != _VERIFIED:
        raise HeaderRefused("no certificate on this connection, or one that was not verified")
    try:
        name = _one(tls[5:], _TYPE_SSL_CN).decode()
    except UnicodeDecodeError:
        raise HeaderRefused("a name that is not UTF-8") from None
    if not name:
        raise HeaderRefused("an empty name")
    return name


def _one(values: bytes, kind: int) -> bytes:
    """The one value of that kind."""
    found = [value for each, value in _values(values) if each == kind]
    if len(found) != 1:
        raise HeaderRefused(f"not one value of type {kind:#x}, but {len(found)}")
    return found[0]


def _values(values: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(values):
        if len(values) < at + 3:
            raise HeaderRefused("cut short")
        kind, length = struct.unpack_from("!BH", values, at)
        at += 3 + length
        if at > len(values):
            raise HeaderRefused("cut short")
        yield kind, values[at - length : at]
