"""TLS between nodes that is authenticated by a pre-shared key (PSK) and nothing else.

TLS 1.2 with a plain PSK (RFC 4279, RFC 5487): no certificate and no Diffie-Hellman, so that there is no public-key
operation at all. TLS 1.3 has a key share in its first message whatever follows, and Python's PSKs there go with
SHA-256 only. What a plain PSK lacks is forward secrecy: who uses it replaces the key often, and forgets the old one.
"""

import os
import ssl
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from keyhop.core.errors import ConfigurationError
from keyhop.core.keys import KeyMaterial
from keyhop.pki.contexts import TellsWhyRefused

PSK_CIPHER = "PSK-AES256-GCM-SHA384"
MIN_PSK_BYTES = 32
MAX_PSK_BYTES = 256

_MAX_FILE_BYTES = 4096
_RECIPE = f"(umask 077 && openssl rand -hex {MIN_PSK_BYTES} > psk) makes one; both nodes get the same"

type FindKey = Callable[[str], KeyMaterial | None]
"""The key of whoever shows this identity, or None: then there is no connection."""


def load_psk(path: Path) -> KeyMaterial:
    """The key in a file: 32 to 256 bytes in hexadecimal, white space ignored.

    Raises ConfigurationError when the file is missing, malformed or open to others.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(_MAX_FILE_BYTES + 1)
    except OSError as failure:
        raise ConfigurationError(f"cannot read the PSK {path}: {failure.strerror}", hint=_RECIPE) from None
    if mode & 0o077:
        raise ConfigurationError(f"{path} can be read by others (mode {mode:04o})", hint=f"chmod 600 {path}")
    try:
        psk = bytes.fromhex(text.decode("ascii")) if len(text) <= _MAX_FILE_BYTES else b""
    except ValueError:
        psk = b""
    if not MIN_PSK_BYTES <= len(psk) <= MAX_PSK_BYTES:  # the content must not be shown
        raise ConfigurationError(f"{path} does not hold {MIN_PSK_BYTES} to {MAX_PSK_BYTES} bytes in hex", hint=_RECIPE)
    return KeyMaterial(psk)


def psk_client_context(identity: str, psk: KeyMaterial) -> ssl.SSLContext:
    """For one connection to a node that knows the key by this identity (ASCII, 128 octets at most: RFC 4279, 5.3)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _harden(context)
    context.set_psk_client_callback(lambda _hint: (identity, psk.reveal()))
    return context


class _ShownIdentity(TellsWhyRefused):
    """One connection of a `PskServerContext`."""

    shown: list[str]


class PskServerContext(ssl.SSLContext):
    """What a server takes for its context. Each connection has one of its own, so that nobody but the one who shows an
    identity can be taken for it, and no session is there to be resumed."""

    def __new__(cls, find: FindKey) -> Self:
        """`find` is called within the handshake."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, find: FindKey) -> None:
        self._find = find

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = True,
        server_hostname: str | bytes | None = None,
        session: Any = None,
    ) -> ssl.SSLObject:
        """The connection's end, as `SSLContext` makes it."""
        shown: list[str] = []

        def key_of(identity: str | None) -> bytes:
            shown.append(identity or "")
            psk = self._find(shown[-1])
            return psk.reveal() if psk else b""  # OpenSSL: unknown_psk_identity

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sslobject_class = _ShownIdentity
        _harden(context)
        context.set_psk_server_callback(key_of)
        connection = context.wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        assert isinstance(connection, _ShownIdentity)
        connection.shown = shown
        return connection


def shown_identity(connection: ssl.SSLObject) -> str:
    """Who is at the other end of a server's connection: its handshake has proved that it has the key."""
    assert isinstance(connection, _ShownIdentity)
    (identity,) = connection.shown
    return identity


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{PSK_CIPHER}:@SECLEVEL=2")  # level 3 asks for forward secrecy within TLS
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
