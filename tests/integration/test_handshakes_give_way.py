"""Handshakes give way to the event loop before each of their steps, however many clients wait for one at a time."""

import socket
import ssl
import threading
from typing import Any, cast

import pytest

from keyhop.service.etsi014 import handshakes as handshakes_module
from keyhop.service.etsi014.handshakes import HandshakeLimits, Handshakes
from keyhop.service.etsi014.tls import Tls

CLIENTS = 6


class Held:
    """A context, whose TLS notes each step, waits in the first one, and notes when it is freed; its handshake fails."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes
        self.held, self.go_on = threading.Event(), threading.Event()
        self.freed = threading.Semaphore(0)
        self.freed_on: set[str] = set()

    def wrap_bio(self, *_: object, **__: object) -> Any:
        return HeldTls(self)


class HeldTls:
    """The TLS of one client."""

    def __init__(self, context: Held) -> None:
        self._context = context

    def __del__(self) -> None:
        self._context.notes.append("freed")
        self._context.freed_on.add(threading.current_thread().name)
        self._context.freed.release()

    def do_handshake(self) -> None:
        self._context.notes.append("step")
        self._context.held.set()
        assert self._context.go_on.wait(10)
        raise ConnectionError("no")


class Door:
    """The thread behind a listener, and who has come."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, timeout_s: float) -> None:
        self.notes: list[str] = []
        monkeypatch.setattr(handshakes_module, "give_way", lambda: self.notes.append("way"))
        self.context = Held(self.notes)
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        self.clients = [socket.create_connection(listener.getsockname(), timeout=10) for _ in range(CLIENTS)]
        self.handshakes = Handshakes(
            listener,
            lambda: cast(ssl.SSLContext, self.context),
            HandshakeLimits(max_pending=CLIENTS, timeout_s=timeout_s, share=1.0),
            lambda: False,
            lambda _sock, _tls, _certificate: None,
            lambda: self.notes.append("refused"),
            lambda _error: None,
        )
        self.handshakes.start()

    def stop(self) -> list[str]:
        """Everybody is refused and goes; what the thread has done."""
        assert [client.recv(1) for client in self.clients] == [b""] * CLIENTS
        for client in self.clients:
            client.close()
        assert all(self.context.freed.acquire(timeout=10) for _ in self.clients)
        self.handshakes.stop()
        return self.notes


def test_way_is_given_before_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(monkeypatch, timeout_s=10.0)
    door.clients[0].sendall(b"hello")
    assert door.context.held.wait(10)
    for client in door.clients[1:]:
        client.sendall(b"hello")
    door.context.go_on.set()
    notes = door.stop()
    assert notes.count("step") == CLIENTS
    assert all(notes[at - 1] == "way" for at, note in enumerate(notes) if note == "step")


def test_clients_that_go_together_are_freed_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(monkeypatch, timeout_s=10.0)
    door.context.go_on.set()
    for client in door.clients[1:]:
        client.sendall(b"hello")
        assert client.recv(1) == b""
    door.context.go_on.clear()
    door.context.held.clear()
    door.clients[0].sendall(b"hello")
    assert door.context.held.wait(10)
    for client in door.clients[1:]:
        client.shutdown(socket.SHUT_WR)
    door.context.go_on.set()
    notes = [note for note in door.stop() if note != "refused"]
    assert notes.count("freed") == CLIENTS
    assert all(notes[at - 1] == "way" for at, note in enumerate(notes) if note == "freed")


def test_what_ended_connections_leave_is_freed_on_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(monkeypatch, timeout_s=0.01)
    door.clients[0].sendall(b"hello")
    assert door.context.held.wait(10)
    for _ in range(CLIENTS):
        door.handshakes.free(cast(Tls, HeldTls(door.context)))
    door.context.go_on.set()
    assert all(door.context.freed.acquire(timeout=10) for _ in range(CLIENTS))
    notes = door.stop()
    assert door.context.freed_on == {"handshakes"}
    assert all(notes[at - 1] == "way" for at, note in enumerate(notes) if note == "freed")


def test_a_thread_that_waits_for_nobody_frees_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(monkeypatch, timeout_s=10.0)
    door.context.go_on.set()
    for client in door.clients:
        client.sendall(b"hello")
        assert client.recv(1) == b""
        client.close()
    assert all(door.context.freed.acquire(timeout=10) for _ in range(CLIENTS))
    for _ in range(2):
        door.handshakes.free(cast(Tls, HeldTls(door.context)))
        assert door.context.freed.acquire(timeout=10)
    door.handshakes.stop()
    door.handshakes.free(cast(Tls, HeldTls(door.context)))  # a connection that outlives the thread


def test_way_is_given_before_each_client_that_is_too_slow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshakes_module, "LINGER_S", 0.0)
    notes = Door(monkeypatch, timeout_s=0.01).stop()
    assert notes.count("refused") == CLIENTS
    assert all(notes[at - 1] == "way" for at, note in enumerate(notes) if note in ("refused", "freed"))
