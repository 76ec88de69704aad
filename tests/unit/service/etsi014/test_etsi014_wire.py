"""A wire with TLS on a real socket, whose far end makes its TLS 1.3 records by hand once the handshake is over."""

import asyncio
import datetime
import gc
import socket
import ssl
import struct
import weakref
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.x509.oid import NameOID

from keyhop.service.etsi014.tls import Tls
from keyhop.service.etsi014.wire import READ_BYTES, SocketWire

ALERT, HANDSHAKE, DATA = 21, 22, 23
CLOSE_NOTIFY = b"\1\0"
NEW_KEYS, NEW_KEYS_OF_BOTH = b"\x18\0\0\1\0", b"\x18\0\0\1\1"


def expanded(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label of RFC 8446, section 7.1."""
    info = struct.pack("!HB", size, 6 + len(label)) + b"tls13 " + label + b"\0"
    return HKDFExpand(hashes.SHA384(), size, info).derive(secret)


class Records:
    """Makes a client's records, section 5.2."""

    def __init__(self, secret: bytes) -> None:
        self._begin(secret)

    def _begin(self, secret: bytes) -> None:
        self._secret, self._sequence = secret, 0
        self._key, self._iv = AESGCM(expanded(secret, b"key", 32)), expanded(secret, b"iv", 12)

    def record(self, data: bytes, kind: int = DATA) -> bytes:
        head = struct.pack("!BHH", 23, 0x0303, len(data) + 17)
        nonce = bytes(a ^ b for a, b in zip(self._iv, self._sequence.to_bytes(12), strict=True))
        self._sequence += 1
        return head + self._key.encrypt(nonce, data + bytes([kind]), head)

    def new_keys(self, message: bytes = NEW_KEYS) -> bytes:
        record = self.record(message, HANDSHAKE)
        self._begin(expanded(self._secret, b"traffic upd", 48))
        return record


@dataclass
class Heard:
    """The owner of a wire."""

    wire: SocketWire
    received: list[bytes] = field(default_factory=list)
    something: asyncio.Event = field(default_factory=asyncio.Event)
    end: asyncio.Event = field(default_factory=asyncio.Event)

    def readable(self) -> None:
        self.wire.read()

    def receive(self, data: bytes) -> None:
        self.received.append(data)
        self.something.set()

    def drained(self) -> None:
        pass

    def heard_all(self) -> None:
        self.wire.abort()

    def lost(self) -> None:
        self.end.set()


@dataclass
class Ends:
    """Both ends of a connection whose handshake is over."""

    wire: SocketWire
    heard: Heard
    far: socket.socket
    client: ssl.SSLObject
    to_client: ssl.MemoryBIO
    records: Records
    freed: list[Tls]

    async def said(self) -> bytes:
        """What the client understands next."""
        self.to_client.write(await asyncio.get_running_loop().sock_recv(self.far, READ_BYTES))
        return self.client.read(READ_BYTES)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    pem, encoding = tmp_path_factory.mktemp("wire") / "x.pem", serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem.write_bytes(private + builder.sign(key, hashes.SHA256()).public_bytes(encoding))
    return pem


def connected(certificate: Path, folder: Path, with_the_last: bytes = b"") -> Ends:
    """`with_the_last` is sent along with what ends the handshake."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.keylog_filename = str(folder / "secrets")
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client, tls = context.wrap_bio(to_client, to_server), Tls(server)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    assert not tls.handshake(to_server.read())
    to_client.write(tls.due())
    client.do_handshake()
    assert client.cipher() == ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)
    lines = (line.split() for line in (folder / "secrets").read_text().splitlines())
    (secret,) = (bytes.fromhex(line[2]) for line in lines if line[0] == "CLIENT_TRAFFIC_SECRET_0")
    records = Records(secret)
    assert tls.handshake(to_server.read() + (records.record(with_the_last) if with_the_last else b""))
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    freed: list[Tls] = []
    wire = SocketWire(asyncio.get_running_loop(), near, tls, freed.append)
    heard = Heard(wire)
    wire.start(heard)
    to_client.write(tls.due())
    return Ends(wire, heard, far, client, to_client, records, freed)


def test_new_keys_without_end_hold_nobody_up(certificate: Path, tmp_path: Path) -> None:
    async def run() -> None:
        ends = connected(certificate, tmp_path)
        sent = b"".join(ends.records.new_keys() for _ in range(3000)) + ends.records.record(b"at last")
        ends.far.sendall(sent)
        turns = 0
        while not ends.heard.received:
            await asyncio.sleep(0)
            turns += 1
        assert ends.heard.received == [b"at last"]
        assert turns >= len(sent) // READ_BYTES
        ends.wire.abort()
        ends.far.close()

    asyncio.run(run())


def test_tls_is_handed_over_to_be_freed_and_not_kept(certificate: Path, tmp_path: Path) -> None:
    async def run() -> None:
        ends = connected(certificate, tmp_path)
        assert ends.freed == []
        ends.wire.abort()
        ends.wire.abort()
        assert len(ends.freed) == 1
        tls = weakref.ref(ends.freed.pop())
        gc.collect()  # the traceback of the handshake, which waited for more, knows it
        assert tls() is None
        ends.far.close()

    asyncio.run(run())


def test_new_keys_are_answered_and_used(certificate: Path, tmp_path: Path) -> None:
    async def run() -> None:
        ends = connected(certificate, tmp_path)
        ends.far.sendall(ends.records.new_keys(NEW_KEYS_OF_BOTH) + ends.records.record(b"asked"))
        await ends.heard.something.wait()
        ends.wire.write(b"answered")
        assert await ends.said() == b"answered"
        ends.wire.abort()
        ends.far.close()

    asyncio.run(run())


def test_who_asks_for_new_keys_in_part_is_cut_off(certificate: Path, tmp_path: Path) -> None:
    async def run() -> None:
        ends = connected(certificate, tmp_path)
        ends.far.sendall(ends.records.record(b"asked") + ends.records.record(NEW_KEYS[:4], HANDSHAKE))
        await ends.heard.something.wait()
        assert not ends.heard.end.is_set()
        ends.wire.write(b"cannot be sent")
        await asyncio.wait_for(ends.heard.end.wait(), 5.0)
        assert ends.far.recv(READ_BYTES) == b""
        ends.far.close()

    asyncio.run(run())


def test_what_comes_with_the_end_of_the_handshake_is_heard(certificate: Path, tmp_path: Path) -> None:
    async def run() -> None:
        ends = connected(certificate, tmp_path, with_the_last=b"early")
        await asyncio.wait_for(ends.heard.something.wait(), 5.0)
        assert ends.heard.received == [b"early"]
        ends.wire.close()
        assert await ends.said() == b""  # the goodbye of TLS
        ends.far.close()
        await asyncio.wait_for(ends.heard.end.wait(), 5.0)
        assert ends.heard.received == [b"early"]

    asyncio.run(run())


def test_all_records_of_one_read_are_heard_and_then_its_end(certificate: Path, tmp_path: Path) -> None:
    async def run() -> None:
        ends = connected(certificate, tmp_path)
        ends.far.sendall(
            ends.records.record(b"a") + ends.records.record(b"b") + ends.records.record(CLOSE_NOTIFY, ALERT)
        )
        await asyncio.wait_for(ends.heard.end.wait(), 5.0)
        assert ends.heard.received == [b"ab"]
        ends.far.close()

    asyncio.run(run())
