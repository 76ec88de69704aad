"""What is wrong with one client's handshake ends that client's; what ends the thread is told."""

import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from keyhop.service.etsi014.handshakes import HandshakeLimits, Handshakes


class Broken:
    """A context, and the TLS made from it, that fail for a reason that is ours."""

    def __init__(self, fails: str) -> None:
        self._fails = fails

    def wrap_bio(self, *_: object, **__: object) -> Any:
        if self._fails == "begin":
            raise RuntimeError("who knows")
        return self

    def do_handshake(self) -> None:
        if self._fails == "handshake":
            raise RuntimeError("who knows")

    def getpeercert(self, *, binary_form: bool) -> bytes:
        if self._fails == "certificate":
            raise RuntimeError("who knows")
        return b"der"


class Desk:
    """The thread, and who comes and fails. `fails` says where the next handshakes do."""

    def __init__(self) -> None:
        self.fails = ""
        self.admitted: list[bytes] = []
        self.refused = 0
        self.failure: Exception | None = None
        self.failed = threading.Event()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        self.address = listener.getsockname()
        self.handshakes = Handshakes(
            listener,
            self._context,
            HandshakeLimits(max_pending=8, timeout_s=10.0, share=1.0),
            lambda: self.fails == "thread",
            self._admit,
            self._refuse,
            self._end,
        )
        self.handshakes.start()

    def _context(self) -> ssl.SSLContext:
        return cast(ssl.SSLContext, Broken(self.fails))

    def _admit(self, sock: socket.socket, tls: object, certificate: bytes) -> None:
        self.admitted.append(certificate)
        sock.close()

    def _refuse(self) -> None:
        self.refused += 1
        if self.fails == "thread":
            raise ZeroDivisionError

    def _end(self, error: Exception) -> None:
        self.failure = error
        self.failed.set()

    def connect(self, fails: str) -> None:
        """Until the server closes."""
        self.fails = fails
        with socket.create_connection(self.address, timeout=10) as client:
            if fails not in ("begin", "thread"):
                client.sendall(b"hello")
            assert client.recv(1) == b""


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.handshakes.stop()


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        ("begin", "a handshake could not begin: RuntimeError"),
        ("handshake", "a handshake failed for a reason that is ours: RuntimeError"),
        ("certificate", "a handshake failed for a reason that is ours: RuntimeError"),
    ],
)
def test_a_fault_of_ours_refuses_one_client(
    desk: Desk, fails: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    desk.connect(fails)
    desk.connect("")
    assert (desk.admitted, desk.refused, desk.failure, desk.handshakes.pending) == ([b"der"], 1, None, 0)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [said]


def test_the_end_of_the_thread_is_told(desk: Desk) -> None:
    desk.connect("thread")
    assert desk.failed.wait(10)
    assert isinstance(desk.failure, ZeroDivisionError)
