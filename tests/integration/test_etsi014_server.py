"""The ETSI 014 edge over real TLS sockets, in front of a key service that lives in memory."""

import asyncio
import datetime
import http.client
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keyhop.core.errors import BadRequest, KeyhopError, Unauthorised, Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.service.etsi014 import connection as connection_module
from keyhop.service.etsi014 import server as server_module
from keyhop.service.etsi014.server import Etsi014Server
from keyhop.service.etsi014.surroundings import Limits
from keyhop.service.identity import SaeDirectory, SaeEntry
from keyhop.service.requests import (
    GetKey,
    GetKeyWithIds,
    GetStatus,
    InsertKeys,
    InsertReply,
    KeyReply,
    KeyRun,
    Keys,
    Provenance,
    Status,
    VoidKeys,
    VoidReply,
)

ENC = "/api/v1/keys/bobsae/enc_keys"
DEC = "/api/v1/keys/alicesae/dec_keys"
JSON = {"Content-Type": "application/json"}


@dataclass
class MemoryKeys:
    """Hands out random keys; counts what it gave, so that a test can see that a refusal cost nothing."""

    given: int = 0
    later: bool = False
    held: list[Callable[[], None]] = field(default_factory=list)
    asked: list[GetKey | GetKeyWithIds] = field(default_factory=list)
    keys: dict[bytes, bytes] = field(default_factory=dict)
    error: KeyhopError | None = None
    arrived: threading.Event = field(default_factory=threading.Event)

    def get_status(self, request: GetStatus) -> Status:
        if request.peer == "nobody":
            raise BadRequest("unknown SAE nobody")
        return Status(
            KmeId("a"), KmeId("b"), request.caller, request.peer, 256, 7, 1000, 128, 8192, 64, max_sae_id_count=0
        )

    def get_key(self, request: GetKey, reply: KeyReply) -> None:
        self.asked.append(request)
        self._answer(lambda: self._fresh(request), reply)

    def get_key_with_ids(self, request: GetKeyWithIds, reply: KeyReply) -> None:
        self.asked.append(request)
        self._answer(lambda: self._stored(request), reply)

    def insert_keys(self, request: InsertKeys, reply: InsertReply) -> None:
        raise NotImplementedError

    def void_keys(self, request: VoidKeys, reply: VoidReply) -> None:
        raise NotImplementedError

    def _answer(self, make: Callable[[], Keys | KeyhopError], reply: KeyReply) -> None:
        def answer() -> None:
            reply(self.error or make())

        if self.later:
            self.held.append(answer)
            self.arrived.set()
        else:
            answer()

    def _fresh(self, request: GetKey) -> Keys:
        number, size = request.number or 1, (request.size_bits or 256) // 8
        ids, material = os.urandom(16 * number), os.urandom(size * number)
        for i in range(number):
            self.keys[ids[16 * i : 16 * i + 16]] = material[size * i : size * i + size]
        self.given += number
        where = Provenance("rate", ((KmeId("a"), KmeId("b")),), 1.5) if request.provenance else None
        return Keys((KeyRun(ids, size, KeyMaterial(material)),), where)

    def _stored(self, request: GetKeyWithIds) -> Keys | KeyhopError:
        if any(key_id not in self.keys for key_id in request.key_ids):
            return BadRequest("one or more keys specified are not found on KME")
        if request.slave == "carolsae":
            return Unauthorised("not yours")
        runs = tuple(
            KeyRun(key_id, len(self.keys[key_id]), KeyMaterial(self.keys.pop(key_id))) for key_id in request.key_ids
        )
        return Keys(runs)


class Pki:
    """A certificate authority and contexts made from it, all in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        authority = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
        self.server = self.issue("alice", server=True)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, expired: bool = False
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 3 * day)
            .not_valid_after(now + (-day if expired else day))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )

    def issue(self, name: str, *, server: bool = False, expired: bool = False) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key, expired)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if server:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        path = self._folder / f"{name}{'-expired' if expired else ''}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.ca)
        context.load_cert_chain(self.server)
        return context

    def client_context(self, certificate: Path | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        if certificate is not None:
            context.load_cert_chain(certificate)
        return context


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    made = Pki(tmp_path_factory.mktemp("pki"))
    for name in ("alicesae", "bobsae", "stranger"):
        made.issue(name)
    made.issue("alicesae", expired=True)
    return made


def der_of(pem: Path) -> bytes:
    text = pem.read_text()
    return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE") :])


class Running:
    """A server on its own event loop in its own thread, and ways to talk to it."""

    def __init__(self, pki: Pki, service: MemoryKeys, limits: Limits, use_uvloop: bool) -> None:
        self.pki, self.service = pki, service
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.revoked: set[bytes] = set()
        self._limits = limits
        self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop() if use_uvloop else asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self.refused: list[None] = []

    def __enter__(self) -> "Running":
        saes = tuple(SaeEntry(SaeId(name), KmeId("a")) for name in ("alicesae", "bobsae", "carolsae"))
        self.server = Etsi014Server(
            self.service,
            SaeDirectory(saes),
            self.pki.server_context(),
            self._listener,
            limits=self._limits,
            is_revoked=lambda der: der in self.revoked,
            on_refused=lambda: self.refused.append(None),
        )
        self._thread.start()
        self.call(self.server.start())
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self.server.stop(0.0))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.run_until_complete(self._cancel_rest())
        self.loop.close()

    async def _cancel_rest(self) -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def connect(self, name: str = "alicesae") -> ssl.SSLSocket:
        context = self.pki.client_context(self.pki.ca.parent / f"{name}.pem")
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return context.wrap_socket(plain, server_hostname="localhost")

    @contextmanager
    def client(self, name: str = "alicesae") -> Iterator[http.client.HTTPSConnection]:
        context = self.pki.client_context(self.pki.ca.parent / f"{name}.pem")
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=10, context=context)
        try:
            yield connection
        finally:
            connection.close()

    def ask(
        self, method: str, path: str, body: bytes | str | None = None, headers: dict[str, str] | None = None, **who: str
    ) -> tuple[int, Any, http.client.HTTPMessage]:
        with self.client(**who) as connection:
            return ask(connection, method, path, body, headers)


def ask(
    connection: http.client.HTTPSConnection,
    method: str,
    path: str,
    body: bytes | str | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, Any, http.client.HTTPMessage]:
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    text = response.read()
    assert response.headers["content-type"] == "application/json"
    return response.status, json.loads(text) if text else None, response.headers


def everything(sock: ssl.SSLSocket) -> bytes:
    """What the server sends until it closes."""
    received = b""
    try:
        while chunk := sock.recv(65536):
            received += chunk
    except (ConnectionError, ssl.SSLError):
        pass
    return received


SHORT = Limits(request_timeout_s=0.4, idle_timeout_s=0.4, handshake_timeout_s=0.4, write_timeout_s=0.4)


@pytest.fixture(autouse=True)
def short_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "LINGER_S", 0.1)
    monkeypatch.setattr(server_module, "MAX_SWEEP_S", 0.05)


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def running(pki: Pki, request: pytest.FixtureRequest) -> Iterator[Running]:
    with Running(pki, MemoryKeys(), Limits(), request.param) as server:
        yield server


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def impatient(pki: Pki, request: pytest.FixtureRequest) -> Iterator[Running]:
    with Running(pki, MemoryKeys(), SHORT, request.param) as server:
        yield server


def test_status(running: Running) -> None:
    status, body, _ = running.ask("GET", "/api/v1/keys/bobsae/status", headers=JSON)
    assert status == 200
    assert body == {
        "source_KME_ID": "a",
        "target_KME_ID": "b",
        "master_SAE_ID": "alicesae",
        "slave_SAE_ID": "bobsae",
        "key_size": 256,
        "stored_key_count": 7,
        "max_key_count": 1000,
        "max_key_per_request": 128,
        "max_key_size": 8192,
        "min_key_size": 64,
        "max_SAE_ID_count": 0,
    }


def test_a_key_goes_from_master_to_slave_by_get(running: Running) -> None:
    _, enc, _ = running.ask("GET", ENC + "?number=1&size=256")
    status, dec, _ = running.ask("GET", f"{DEC}?key_ID={enc['keys'][0]['key_ID']}", name="bobsae")
    assert (status, dec) == (200, enc)
    again, body, _ = running.ask("GET", f"{DEC}?key_ID={enc['keys'][0]['key_ID']}", name="bobsae")
    assert (again, body) == (400, {"message": "one or more keys specified are not found on KME"})


def test_many_keys_by_post_on_one_connection(running: Running) -> None:
    with running.client() as alice, running.client("bobsae") as bob:
        for number in (1, 3, 100):
            _, enc, _ = ask(alice, "POST", ENC, json.dumps({"number": number, "size": 128}), JSON)
            ids = {"key_IDs": [{"key_ID": key["key_ID"]} for key in enc["keys"]]}
            charset = {"Content-Type": "application/json; charset=utf-8"}
            status, dec, _ = ask(bob, "POST", DEC, json.dumps(ids), charset)
            assert (status, len(dec["keys"]), dec) == (200, number, enc)


@pytest.mark.parametrize("body", [None, b"", b"{}", b"  "])
def test_post_without_wishes_gets_the_defaults(running: Running, body: bytes | None) -> None:
    status, answer, _ = running.ask("POST", ENC, body, JSON if body else None)
    assert (status, len(answer["keys"])) == (200, 1)
    assert running.service.asked == [GetKey(SaeId("alicesae"), SaeId("bobsae"))]


def test_provenance_on_request(running: Running) -> None:
    wish = json.dumps({"extension_mandatory": [{"keyhop_provenance": True}]})
    _, answer, _ = running.ask("POST", ENC, wish, JSON)
    assert answer["key_container_extension"] == {
        "keyhop_provenance": {"source": "rate", "paths": [["a", "b"]], "age_s": 1.5}
    }


def test_a_late_reply_reaches_its_request(running: Running) -> None:
    running.service.later = True
    with running.client() as connection:
        connection.request("GET", ENC)
        assert running.service.arrived.wait(10)
        running.loop.call_soon_threadsafe(running.service.held.pop())
        assert connection.getresponse().status == 200


def test_a_client_that_left_cancels_nothing(running: Running) -> None:
    running.service.later = True
    with running.client() as connection:
        connection.request("GET", ENC)
        assert running.service.arrived.wait(10)
    running.loop.call_soon_threadsafe(running.service.held.pop())
    running.service.later = False
    assert running.ask("GET", ENC)[0] == 200
    assert running.service.given == 2


def test_percent_encoded_sae_id(running: Running) -> None:
    assert running.ask("GET", "/api/v1/keys/%62ob%2Fsae/enc_keys")[0] == 200
    assert running.service.asked[0] == GetKey(SaeId("alicesae"), SaeId("bob/sae"))


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (BadRequest("size shall be a multiple of 8"), 400, None),
        (Unauthorised("no"), 401, None),
        (Unavailable("the stream is empty", retry_after_s=2.5), 503, "3"),
        (Unavailable("the stream is empty"), 503, "1"),
        (KeyhopError("/secret/path"), 503, "1"),
    ],
)
def test_errors_of_the_service(running: Running, error: KeyhopError, status: int, retry: str | None) -> None:
    running.service.error = error
    got, body, headers = running.ask("GET", ENC)
    assert (got, headers["retry-after"]) == (status, retry)
    assert body["message"] == ("the KME cannot serve keys now" if "/secret" in error.message else error.message)


HOSTILE = [
    ("GET", ENC + "?foo=1", None, JSON, 400),
    ("GET", ENC + "?number=1&number=1", None, JSON, 400),
    ("GET", ENC + "?number=-1", None, JSON, 400),
    ("GET", ENC + "?number=1e9", None, JSON, 400),
    ("GET", ENC + "?number=99999999999", None, JSON, 400),
    ("GET", ENC + "?number=", None, JSON, 400),
    ("GET", ENC + "?number=%zz", None, JSON, 400),
    ("GET", ENC, b"{}", JSON, 400),
    ("GET", DEC, None, JSON, 400),
    ("GET", DEC + "?key_ID=nonsense", None, JSON, 400),
    ("GET", DEC + "?key_ID=" + "0" * 8 + "&key_ID=1", None, JSON, 400),
    ("GET", "/api/v1/keys/%ff/enc_keys", None, JSON, 400),
    ("GET", "/api/v1/keys/%2/enc_keys", None, JSON, 400),
    ("GET", "/api/v1/keys//enc_keys", None, JSON, 400),
    ("GET", "/api/v1/keys/nobody/status", None, JSON, 400),
    ("GET", "/api/v1/keys/bobsae/status?x=1", None, JSON, 400),
    ("POST", ENC, b"{" * 70000, JSON, 400),
    ("POST", ENC, b"[" * 60000, JSON, 400),
    ("POST", ENC, b'{"number":1,"number":1}', JSON, 400),
    ("POST", ENC, b'{"number":NaN}', JSON, 400),
    ("POST", ENC, b'{"number":true}', JSON, 400),
    ("POST", ENC, b'{"number":1.0}', JSON, 400),
    ("POST", ENC, b'{"number":1e9}', JSON, 400),
    ("POST", ENC, b'{"number":-1}', JSON, 400),
    ("POST", ENC, b'{"nmber":1}', JSON, 400),
    ("POST", ENC, b"[]", JSON, 400),
    ("POST", ENC, b"\xff{}", JSON, 400),
    ("POST", ENC, b"{}", {"Content-Type": "text/plain"}, 400),
    ("POST", ENC, b"{}", {"Content-Type": "application/json; charset=latin-1"}, 400),
    ("POST", ENC, b"{}", {}, 400),
    ("POST", ENC + "?number=1", b"{}", JSON, 400),
    ("POST", ENC, b'{"extension_mandatory":[{"x_y":1}]}', JSON, 400),
    ("POST", DEC, b"", JSON, 400),
    ("POST", DEC, b'{"key_IDs":[]}', JSON, 400),
    ("PUT", ENC, None, {}, 405),
    ("POST", "/api/v1/keys/bobsae/status", None, {}, 405),
    ("GET", "/api/v1/keys/bobsae/enc_keys/", None, {}, 404),
    ("GET", "/", None, {}, 404),
    ("OPTIONS", "*", None, {}, 404),
]


def test_hostile_requests_get_json_and_cost_no_key(running: Running) -> None:
    with running.client() as connection:
        for method, path, body, headers, expected in HOSTILE:
            status, answer, _ = ask(connection, method, path, body, headers)
            assert (status, next(iter(answer))) == (expected, "message"), (method, path, body)
    assert running.service.given == 0
    assert running.ask("PUT", ENC)[2]["allow"] == "GET, POST"


def test_the_certificate_decides_who_the_caller_is(running: Running) -> None:
    status, body, _ = running.ask("GET", ENC, headers={"X-SAE-ID": "alicesae"}, name="stranger")
    assert (status, body["message"]) == (401, "the client certificate belongs to no SAE of this KME")
    assert running.service.asked == []


@pytest.mark.parametrize("certificate", [None, "alicesae-expired"])
def test_refused_in_the_handshake(running: Running, certificate: str | None) -> None:
    path = None if certificate is None else running.pki.ca.parent / f"{certificate}.pem"
    plain = socket.create_connection(("127.0.0.1", running.port), timeout=10)
    with suppress(ConnectionError, ssl.SSLError):
        sock = running.pki.client_context(path).wrap_socket(plain, server_hostname="localhost")
        sock.sendall(b"GET " + ENC.encode() + b" HTTP/1.1\r\nhost: x\r\n\r\n")
        assert everything(sock) == b""
        sock.close()
    plain.close()
    assert running.service.asked == []
    assert running.ask("GET", ENC)[0] == 200
    assert len(running.refused) == 1


def test_revoked_certificates_lose_open_and_new_connections(running: Running) -> None:
    with running.client() as alice, running.client("bobsae") as bob:
        assert ask(alice, "GET", ENC)[0] == ask(bob, "GET", ENC)[0] == 200
        running.revoked.add(der_of(running.pki.ca.parent / "alicesae.pem"))

        async def close() -> int:
            return running.server.close_revoked(lambda der: der in running.revoked)

        assert running.call(close()) == 1
        with pytest.raises((ConnectionError, ssl.SSLError, http.client.HTTPException)):
            ask(alice, "GET", ENC)
        assert ask(bob, "GET", ENC)[0] == 200
    with running.connect() as sock:
        assert everything(sock) == b""


HEAD = f"POST {ENC} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n".encode()
GET = f"GET {ENC} HTTP/1.1\r\nhost: x\r\n".encode()


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (HEAD + b"content-length: 65537\r\n\r\n", "the body shall have at most 65536 bytes"),
        (HEAD + b"content-length: 99999999999999999\r\n\r\n", "the body shall have at most 65536 bytes"),
        (
            HEAD + b"transfer-encoding: chunked\r\n\r\n" + (b"8000\r\n" + bytes(0x8000) + b"\r\n") * 3,
            "the body shall have at most 65536 bytes",
        ),
        (HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n", "malformed HTTP request"),
        (
            HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 150_000,
            "the body shall have at most 65536 bytes",
        ),
        (GET + b"a: b\r\n" * 100 + b"\r\n", "a request shall have at most 64 headers"),
        (GET + b"a: " + b"b" * 20000 + b"\r\n\r\n", "the request head shall have at most 16384 bytes"),
        (GET + b"a: " + b"b" * 20000, "the request head shall have at most 16384 bytes"),
        (b"GET /" + b"b" * 20000, "the request head shall have at most 16384 bytes"),
        (GET + b"connection: upgrade\r\nupgrade: websocket\r\n\r\n", "protocol upgrades are not supported"),
        (b"\x00\x01\x02 nonsense\r\n\r\n", "malformed HTTP request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "malformed HTTP request"),
    ],
)
def test_broken_bounds_are_answered_and_the_connection_closes(running: Running, sent: bytes, message: str) -> None:
    with running.connect() as sock:
        sock.sendall(sent)
        head, _, body = everything(sock).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n")
    assert b"connection: close" in head
    assert json.loads(body) == {"message": message}
    assert running.service.given == 0


def test_a_chunked_body_within_bounds_is_read(running: Running) -> None:
    with running.connect() as sock:
        sock.sendall(HEAD + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n")
        for piece in (b'{"num', b'ber":', b"2}"):
            sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        sock.sendall(b"0\r\n\r\n")
        head, _, body = everything(sock).partition(b"\r\n\r\n")
    assert (head[:12], len(json.loads(body)["keys"])) == (b"HTTP/1.1 200", 2)


def test_pipelined_requests_are_answered_in_order_and_rubbish_after_them_last(running: Running) -> None:
    bodies = [b'{"number":%d}' % number for number in range(1, 6)]
    with running.connect() as sock:
        sock.sendall(b"".join(HEAD + b"content-length: %d\r\n\r\n%b" % (len(b), b) for b in bodies) + b"\x00\x00\r\n")
        received = everything(sock)
    answers = [part.partition(b"\r\n\r\n")[2] for part in received.split(b"HTTP/1.1 ")[1:]]
    assert [len(json.loads(answer)["keys"]) for answer in answers[:-1]] == [1, 2, 3, 4, 5]
    assert json.loads(answers[-1]) == {"message": "malformed HTTP request"}


def test_a_body_too_large_behind_a_pending_answer_waits_its_turn(running: Running) -> None:
    running.service.later = True
    with running.connect() as sock:
        sock.sendall(GET + b"\r\n")
        assert running.service.arrived.wait(10)
        chunks = (b"8000\r\n" + bytes(0x8000) + b"\r\n") * 3
        sock.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunks)
        running.loop.call_soon_threadsafe(running.service.held.pop())
        received = everything(sock)
    assert [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400"]
    assert len(running.service.asked) == 1


@pytest.mark.parametrize("sent", [GET, HEAD + b"content-length: 10\r\n\r\n{", b"G"])
def test_a_stalled_request_gets_400_and_others_are_served(impatient: Running, sent: bytes) -> None:
    with impatient.connect() as sock:
        sock.sendall(sent)
        assert impatient.ask("GET", ENC)[0] == 200
        received = everything(sock)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.endswith(b'{"message": "the request was not complete within 0.4 s"}')
    assert impatient.service.given == 1


def test_idle_connections_are_closed(impatient: Running) -> None:
    with impatient.connect() as fresh, impatient.connect() as used:
        used.sendall(GET + b"\r\n")
        assert used.recv(10) == b"HTTP/1.1 2"
        assert everything(fresh) == b""
        everything(used)
    assert impatient.service.given == 1


def test_a_half_open_handshake_is_dropped(impatient: Running) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=10) as silent:
        assert impatient.ask("GET", ENC)[0] == 200
        assert silent.recv(1) == b""


def test_a_client_that_does_not_read_is_cut_off(impatient: Running) -> None:
    context = impatient.pki.client_context(impatient.pki.ca.parent / "alicesae.pem")
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.settimeout(10)
    plain.connect(("127.0.0.1", impatient.port))
    body = b'{"number":1000,"size":8192}'
    with context.wrap_socket(plain, server_hostname="localhost") as sock:
        for _ in range(8):
            sock.sendall(HEAD + b"content-length: %d\r\n\r\n%b" % (len(body), body))
        deadline = time.monotonic() + 8
        while impatient.server.connections and time.monotonic() < deadline:
            assert impatient.ask("GET", ENC)[0] == 200
        assert impatient.server.connections == 0


def test_oldest_half_open_handshake_gives_way(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MAX_PENDING_HANDSHAKES", 2)
    with Running(pki, MemoryKeys(), Limits(), True) as running:
        silent = [socket.create_connection(("127.0.0.1", running.port), timeout=10) for _ in range(4)]
        assert running.ask("GET", ENC)[0] == 200
        assert silent[0].recv(1) == silent[1].recv(1) == b""
        for sock in silent:
            sock.close()


def test_caps_on_connections(pki: Pki) -> None:
    with ExitStack() as stack:
        limits = Limits(max_connections=3, max_connections_per_sae=2)
        running = stack.enter_context(Running(pki, MemoryKeys(), limits, True))
        first, second, other = (stack.enter_context(running.client(who)) for who in ("alicesae", "alicesae", "bobsae"))
        assert ask(first, "GET", ENC)[0] == ask(second, "GET", ENC)[0] == 200
        with running.connect() as third:
            assert b'{"message": "too many connections of this SAE"}' in everything(third)
        while running.server.connections > 2:
            pass
        assert ask(other, "GET", ENC)[0] == 200
        with pytest.raises((ConnectionError, ssl.SSLError)):
            running.connect("bobsae")
        assert ask(first, "GET", ENC)[0] == 200


def halved(running: Running, sent: bytes, *, goodbye: bool) -> tuple[socket.socket, Callable[[], bytes]]:
    """A client that says nothing more after that, in TLS (`goodbye`) or by the end of its stream; and what it hears."""
    context = running.pki.client_context(running.pki.ca.parent / "alicesae.pem")
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(to_client, to_server, server_hostname="localhost")
    plain = socket.create_connection(("127.0.0.1", running.port), timeout=10)

    def done[T](step: Callable[[], T]) -> T:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                if due := to_server.read():
                    plain.sendall(due)
                if came := plain.recv(65536):
                    to_client.write(came)
                else:
                    to_client.write_eof()

    done(tls.do_handshake)
    tls.write(sent)
    if goodbye:
        with pytest.raises(ssl.SSLWantReadError):
            tls.unwrap()
    plain.sendall(to_server.read())
    plain.shutdown(socket.SHUT_WR)

    def heard() -> bytes:
        received = b""
        with suppress(ssl.SSLError):
            while chunk := done(lambda: tls.read(65536)):
                received += chunk
        return received

    return plain, heard


@pytest.mark.parametrize("goodbye", [True, False], ids=["goodbye", "end of stream"])
@pytest.mark.parametrize("later", [False, True])
def test_who_says_nothing_more_hears_what_was_asked_for(pki: Pki, goodbye: bool, later: bool) -> None:
    service = MemoryKeys(later=later)
    with Running(pki, service, Limits(), True) as running:
        plain, heard = halved(running, (GET + b"\r\n") * 3, goodbye=goodbye)
        with plain:
            for _ in range(3 * later):
                assert service.arrived.wait(10)
                service.arrived.clear()
                running.loop.call_soon_threadsafe(service.held.pop())
            answers = heard()
        assert answers.count(b"HTTP/1.1 200 OK\r\n") == 3
        assert answers.count(b'"key_ID"') == 3
        while running.server.connections:
            pass


def test_a_long_answer_is_heard_to_its_end_by_who_says_nothing_more(running: Running) -> None:
    body = b'{"number":1000,"size":8192}'
    plain, heard = halved(running, HEAD + b"content-length: %d\r\n\r\n%b" % (len(body), body), goodbye=False)
    with plain:
        assert heard().count(b'"key_ID"') == 1000
    while running.server.connections:
        pass


def test_who_says_nothing_more_in_the_midst_of_a_request_is_let_go(running: Running) -> None:
    plain, heard = halved(running, GET[:-4], goodbye=False)
    with plain:
        assert heard() == b""
    assert running.service.given == 0


def test_who_asks_and_goes_has_no_more_under_way_than_who_stays(pki: Pki) -> None:
    """What was asked for waits at the service: else one SAE could leave as much behind there as it has time for."""
    service = MemoryKeys(later=True)
    with Running(pki, service, Limits(max_connections_per_sae=3), True) as running:
        for number in range(1, 4):
            with running.connect() as sock:
                sock.sendall(GET + b"\r\n")
                while len(service.held) < number:
                    pass
        with running.connect() as fourth:
            assert b'{"message": "too many connections of this SAE"}' in everything(fourth)
        running.loop.call_soon_threadsafe(service.held.pop())
        while running.server.connections > 2:
            pass
        service.later = False
        assert running.ask("GET", ENC)[0] == 200


def test_refused_connections_of_one_sae_lock_nobody_out(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "LINGER_S", 30.0)
    with ExitStack() as stack:
        limits = Limits(max_connections=4, max_connections_per_sae=1)
        running = stack.enter_context(Running(pki, MemoryKeys(), limits, True))
        greedy = [stack.enter_context(running.connect()) for _ in range(2)]
        assert b'{"message": "too many connections of this SAE"}' in everything(greedy[1])
        for _ in range(4):
            assert everything(stack.enter_context(running.connect())) == b""
        assert running.ask("GET", ENC, name="bobsae")[0] == 200


def test_stop_does_not_wait_for_clients_that_ignore_the_close(pki: Pki) -> None:
    with Running(pki, MemoryKeys(), Limits(), True) as running, running.client() as idle:
        assert ask(idle, "GET", ENC)[0] == 200
        begin = time.monotonic()
        running.call(running.server.stop(9.0))
        assert time.monotonic() - begin < 6.0


def test_stop_answers_what_is_under_way(pki: Pki) -> None:
    service = MemoryKeys(later=True)
    with Running(pki, service, Limits(), True) as running, running.client() as busy, running.client() as idle:
        idle.connect()
        busy.request("GET", ENC)
        assert service.arrived.wait(10)
        stopping = asyncio.run_coroutine_threadsafe(running.server.stop(8.0), running.loop)
        assert idle.sock.recv(1) == b""
        idle.close()
        running.loop.call_soon_threadsafe(service.held.pop())
        response = busy.getresponse()
        assert (response.status, response.headers["connection"]) == (200, "close")
        response.read()
        busy.close()
        stopping.result(10)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", running.port), timeout=10)
