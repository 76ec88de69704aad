"""A KME of another vendor, for tests: a real HTTPS server that demands a client certificate and answers as told."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pem:
    """Certificate and key of one party, as files."""

    certificate: Path
    key: Path


class TestAuthority:
    """An authority with throw-away keys."""

    __test__ = False

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._sign(self._name, self._key, [])
        self.ca = directory / f"{name}.pem"
        self.ca.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *hosts: str) -> Pem:
        """A certificate for a KME at `hosts` (DNS names and IP addresses), or for an SAE when there are none."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key, [_general_name(host) for host in hosts])
        pem = Pem(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        pem.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pem.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return pem

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, hosts: list[x509.GeneralName]
    ) -> x509.Certificate:
        is_ca = subject == self._name
        now = datetime.now(UTC)
        usage = dict.fromkeys(
            ("key_encipherment", "content_commitment", "data_encipherment", "key_agreement", "crl_sign"), False
        )
        builder = (
            x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=not is_ca,
                    key_cert_sign=is_ca,
                    encipher_only=False,
                    decipher_only=False,
                    **usage,
                ),
                critical=True,
            )
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


@dataclass(frozen=True)
class Seen:
    """One request as it arrived; `sae` is the common name of the client's certificate."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    sae: str


@dataclass
class ForeignKme:
    """What it answers next, and what it was asked. `raw` replaces the whole answer,
    `dripping` never lets it end, `stalled` sends nothing.
    """

    port: int
    code: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    stalled: bool = False
    dripping: bool = False
    seen: list[Seen] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://127.0.0.1:{self.port}"


@contextmanager
def foreign_kme(pem: Pem, ca: Path) -> Iterator[ForeignKme]:
    """Run one until the block ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem.certificate, pem.key)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    server = _Server(("127.0.0.1", 0), context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.kme
    finally:
        server.kme.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    def __init__(self, address: tuple[str, int], context: ssl.SSLContext) -> None:
        super().__init__(address, _Handler)
        self._context = context
        self.kme = ForeignKme(port=self.server_address[1])

    def finish_request(self, request: Any, client_address: Any) -> None:
        # Here and not in get_request: the handshake must not hold up the thread that accepts.
        with self._context.wrap_socket(request, server_side=True) as connection:
            super().finish_request(connection, client_address)

    def shutdown_request(self, request: Any) -> None:
        if isinstance(request, socket.socket) and request.fileno() != -1:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Refused handshakes and clients that leave are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        kme = self.server.kme
        assert isinstance(self.connection, ssl.SSLSocket)
        certificate = x509.load_der_x509_certificate(self.connection.getpeercert(binary_form=True) or b"")
        (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kme.seen.append(Seen(self.command, self.path, dict(self.headers.items()), body, str(name.value)))
        if kme.stalled:
            kme.ended.wait()
        if kme.raw is not None:
            self.close_connection = True
            self.wfile.write(kme.raw)
            # One more byte now and then, so that no single wait of the client takes long.
            while kme.dripping and not kme.ended.wait(0.02):
                self.wfile.write(b" ")
            return
        self.send_response(kme.code)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(kme.body)))
        for header, value in kme.headers.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(kme.body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""
