"""Handshakes give way to the event loop before each of their steps, however many clients wait for one at a time."""

import socket
import ssl
import threading
from typing import Any, cast

import pytest

from keyhop.service.etsi014 import handshakes as handshakes_module
from keyhop.service.etsi014.handshakes import HandshakeLimits, Handshakes

CLIENTS = 6


class Held:
    """A context, and its TLS, whose first step waits; notes every step."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes
        self.held, self.go_on = threading.Event(), threading.Event()

    def wrap_bio(self, *_: object, **__: object) -> Any:
        return self

    def do_handshake(self) -> None:
        self._notes.append("step")
        self.held.set()
        assert self.go_on.wait(10)

    def getpeercert(self, *, binary_form: bool) -> bytes:
        return b"der"


def test_way_is_given_before_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    monkeypatch.setattr(handshakes_module, "give_way", lambda: notes.append("way"))
    context = Held(notes)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    handshakes = Handshakes(
        listener,
        lambda: cast(ssl.SSLContext, context),
        HandshakeLimits(max_pending=CLIENTS, timeout_s=10.0, share=1.0),
        lambda: False,
        lambda sock, _tls, _certificate: sock.close(),
        lambda: None,
        lambda _error: None,
    )
    clients = [socket.create_connection(listener.getsockname(), timeout=10) for _ in range(CLIENTS)]
    handshakes.start()
    clients[0].sendall(b"hello")
    assert context.held.wait(10)
    for client in clients[1:]:
        client.sendall(b"hello")
    context.go_on.set()
    assert [client.recv(1) for client in clients] == [b""] * CLIENTS
    handshakes.stop()
    assert notes.count("step") == CLIENTS
    assert all(notes[at - 1] == "way" for at, note in enumerate(notes) if note == "step")
    for client in clients:
        client.close()
