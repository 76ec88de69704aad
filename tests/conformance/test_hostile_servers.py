"""The suites against servers that mean no good: junk, answers without an end, silence."""

import gzip
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from keyhop.pki import Authority, create_authority
from keyhop.testing.conformance import etsi014, etsi020
from keyhop.testing.conformance.checks import NotConforming, Report
from keyhop.testing.conformance.etsi020.callbacks import MAX_ARRIVED, MAX_BODY_BYTES, Acknowledged, callback_server
from keyhop.testing.conformance.https import Identity, Party

TIMEOUT_S = 0.3
MOST_S = 20.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ESCAPES = "\x1b[2J\x07\r\n"


def answer(document: object, status: str = "200 OK") -> bytes:
    body = json.dumps(document).encode()
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def closes(connection: ssl.SSLSocket) -> None:
    """Nothing."""


def silent(connection: ssl.SSLSocket) -> None:
    time.sleep(60)


def dripping_head(connection: ssl.SSLSocket) -> None:
    connection.sendall(HEAD)
    for _ in range(600):
        connection.sendall(b"X: y\r\n")
        time.sleep(0.1)


def dripping_body(connection: ssl.SSLSocket) -> None:
    connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n{")
    for _ in range(600):
        connection.sendall(b" ")
        time.sleep(0.1)


def continuing(connection: ssl.SSLSocket) -> None:
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def endless(connection: ssl.SSLSocket) -> None:
    connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


BOMB = gzip.compress(bytes(64 << 20), 1)


def inflating(connection: ssl.SSLSocket) -> None:
    connection.sendall(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB)


def junk(connection: ssl.SSLSocket) -> None:
    connection.sendall(bytes(range(256)) * 64)


def nested(connection: ssl.SSLSocket) -> None:
    body = b"[" * 100_000
    connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def says(document: object, status: str = "200 OK") -> Callable[[ssl.SSLSocket], None]:
    return lambda connection: connection.sendall(answer(document, status))


NULLS = dict.fromkeys(("keys", "versions", "capabilities", "message", "details", "type", "source_KME_ID"))
HOSTILE: dict[str, Callable[[ssl.SSLSocket], None]] = {
    "closes": closes,
    "silent": silent,
    "dripping head": dripping_head,
    "dripping body": dripping_body,
    "continuing": continuing,
    "endless": endless,
    "inflating": inflating,
    "junk": junk,
    "nested": nested,
    "a list": says([1, None, {"keys": 5}]),
    "a number": says(5),
    "nulls": says(NULLS),
    "keys of nothing": says({"keys": [None, 5, {"key": 5, "key_ID": []}], "versions": ["v1", {}], "capabilities": 5}),
    "another error": says({"message": [ESCAPES], "details": 5, "type": 5}, "400 Bad"),
    "escapes": says({"message": ESCAPES, "type": ESCAPES, "title": ESCAPES, "details": {"reason": ESCAPES}}, "400 Bad"),
}


class Hostile:
    """A TLS server that reads one request on each connection and then does as it likes."""

    def __init__(self, authority: Authority, behave: Callable[[ssl.SSLSocket], None]) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*authority.files("node", "hostile"))
        self._behave = behave
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), self._context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1 << 16)
            self._behave(secured)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = create_authority(tmp_path_factory.mktemp("hostile"))
    for name in ("hostile", "tester"):
        made.issue_node(name, ["127.0.0.1"])
    return made


def identity(authority: Authority, name: str = "tester") -> Identity:
    certificate, key = authority.files("node", "tester")
    return Identity(name, Path(authority.directory) / "ca.pem", certificate, key)


@contextmanager
def hostile(authority: Authority, behave: Callable[[ssl.SSLSocket], None]) -> Iterator[str]:
    server = Hostile(authority, behave)
    try:
        yield server.url
    finally:
        server.close()


def run(suite: str, authority: Authority, url: str) -> Report:
    parties = [Party(url, identity(authority, name), TIMEOUT_S) for name in ("a", "b", "c")]
    try:
        if suite == "etsi014":
            return etsi014.SUITE.run(etsi014.Etsi014Target(*parties))
        with callback_server(identity(authority), ("127.0.0.1", 0)) as callbacks:
            target = etsi020.Etsi020Target(parties[0], callbacks, "a", "b", parties[1], wait_s=0.1)
            return etsi020.SUITE.run(target)
    finally:
        for party in parties:
            party.close()


@pytest.mark.parametrize("suite", ["etsi014", "etsi020"])
@pytest.mark.parametrize("behaviour", HOSTILE)
def test_a_suite_comes_to_an_end_and_conforms_is_no(authority: Authority, suite: str, behaviour: str) -> None:
    begin = time.monotonic()
    with hostile(authority, HOSTILE[behaviour]) as url:
        report = run(suite, authority, url)
    assert time.monotonic() - begin < MOST_S
    assert not report.conforms
    assert report.count("fail") > 0
    texts = [result.found for result in report.results]
    assert all(text.isprintable() for text in texts)
    assert all(result.found for result in report.results if result.verdict != "pass")


@pytest.mark.parametrize("suite", ["etsi014", "etsi020"])
def test_where_nobody_answers_that_is_said_once_and_nothing_passes(authority: Authority, suite: str) -> None:
    free = socket.create_server(("127.0.0.1", 0))
    url = f"https://127.0.0.1:{free.getsockname()[1]}"
    free.close()
    report = run(suite, authority, url)
    assert (report.count("pass"), report.count("fail")) == (0, 3)
    assert {result.found for result in report.results if result.verdict == "skipped"} == {
        "not tried: there was no answer 3 times in a row"
    }


def test_acknowledgements_without_end_are_not_kept(authority: Authority) -> None:
    with callback_server(identity(authority), ("127.0.0.1", 0)) as callbacks:
        for number in range(MAX_ARRIVED + 10):
            callbacks.note(Acknowledged("/", "", number))
        assert len(callbacks.arrived) == MAX_ARRIVED


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Length": "junk"}, 400),
        ({"Content-Length": "-5"}, 400),
        ({"Content-Length": str(MAX_BODY_BYTES + 1)}, 413),
        ({"Content-Length": "2"}, 200),
    ],
)
def test_an_acknowledgement_of_any_length_is_answered(
    authority: Authority, headers: dict[str, str], status: int
) -> None:
    with callback_server(identity(authority), ("127.0.0.1", 0)) as callbacks:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        address = httpx.URL(callbacks.url)
        context = identity(authority).context()
        with (
            socket.create_connection((address.host, address.port or 0), 5.0) as connection,
            context.wrap_socket(connection, server_hostname=address.host) as secured,
        ):
            secured.sendall(f"POST /ack HTTP/1.1\r\nHost: x\r\n{lines}\r\n[]".encode())
            assert secured.recv(64).startswith(f"HTTP/1.1 {status} ".encode())


JUNK_ACKS = [5, [5], [{}], [{"key_id_container": 5, "initiator_sae_id": "a"}], [{"key_id_container": [5]}], {"a": 1}]


@pytest.mark.parametrize("body", JUNK_ACKS, ids=str)
def test_junk_acknowledgements_are_none(authority: Authority, body: object) -> None:
    with callback_server(identity(authority), ("127.0.0.1", 0)) as callbacks:
        callbacks.note(Acknowledged("/", "application/json", body))
        party = Party("https://x", identity(authority))
        target = etsi020.Etsi020Target(party, callbacks, "a", "b", wait_s=0.05)
        with pytest.raises(NotConforming, match="no acknowledgement"):
            target.acknowledged(0, "00000000-0000-4000-8000-000000000000")
        party.close()
