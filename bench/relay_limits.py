"""What carrying key bytes over hops costs at least: the cryptography alone, and TLS, which promises less."""

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.poly1305 import Poly1305

from keyhop.core.xor import xor
from keyhop.pki import create_authority

MEASURED_S = 0.25


def sealing(data: bytes, hops: int) -> float:
    """CPU seconds: a pad and a tag over the data at each hop, and the check and the pad at its other end."""
    key, pad = bytes(range(32)), data[::-1]

    def once() -> None:
        carried = data
        for _ in range(hops):
            sealed = xor(carried, pad)
            tag = Poly1305.generate_tag(key, sealed)
            Poly1305.verify_tag(key, sealed, tag)
            carried = xor(sealed, pad)
        assert carried == data

    return _cpu_s(once)


class Tls:
    """Sessions of TLS 1.3 with AES-256-GCM, from hop to hop, in memory: as nodes have them, without their sockets."""

    def __init__(self, hops: int) -> None:
        with _contexts() as (server, client):
            self._hops = [_Hop(server, client) for _ in range(hops)]

    def copying(self, data: bytes) -> float:
        """CPU seconds: the data, encrypted and decrypted at each hop."""

        def once() -> None:
            carried = data
            for hop in self._hops:
                carried = hop.carry(carried)
            assert carried == data

        return _cpu_s(once)


class _Hop:
    def __init__(self, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._sender = client.wrap_bio(back, there, server_hostname="localhost")
        self._receiver = server.wrap_bio(there, back, server_side=True)
        for end in (self._sender, self._receiver) * 3:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue

    def carry(self, data: bytes) -> bytes:
        self._sender.write(data)
        parts: list[bytes] = []
        left = len(data)
        while left:
            parts.append(self._receiver.read(left))
            left -= len(parts[-1])
        return b"".join(parts)


@contextmanager
def _contexts() -> Iterator[tuple[ssl.SSLContext, ssl.SSLContext]]:
    with TemporaryDirectory(prefix="keyhop-bench-") as directory:
        authority = create_authority(Path(directory))
        authority.issue_node("n0", ["localhost"])
        server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        certificate, key = authority.files("node", "n0")
        server.load_cert_chain(certificate, key)
        client.load_verify_locations(Path(directory) / "ca.pem")
        for context in (server, client):
            context.minimum_version = ssl.TLSVersion.TLSv1_3
        yield server, client


def _cpu_s(work: Callable[[], None]) -> float:
    work()
    begin, times = time.process_time(), 0
    while time.process_time() - begin < MEASURED_S:
        work()
        times += 1
    return (time.process_time() - begin) / times
