"""Whoever talks to a KME in these tests: an address, an authority to trust and a certificate to show."""

import http.client
import json
import os
import signal
import ssl
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import tomli_w

from keyhop.lab import Inventory

JSON = {"Content-Type": "application/json"}
TIMEOUT_S = 30.0
POLL_S = 0.02


@dataclass(frozen=True)
class Answer:
    """What a KME said; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: Any = field(repr=False)

    @property
    def message(self) -> str:
        """The `message` of an error."""
        return str(self.body["message"])


@dataclass(frozen=True)
class Caller:
    """One certificate (PEM files) and the KME that it is shown to."""

    url: str
    ca: str
    cert: str
    key: str

    @classmethod
    def of(cls, inventory: Inventory, sae: str, kme: str | None = None) -> "Caller":
        """An SAE of a lab, at its own KME or at another one."""
        entry = inventory.sae(sae)
        return cls(inventory.kme(kme or entry.kme).etsi014_url, inventory.ca, entry.cert, entry.key)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        assert parts.hostname
        assert parts.port
        return parts.hostname, parts.port

    def context(self) -> ssl.SSLContext:
        """A client's context that shows the certificate."""
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.cert, self.key)
        return context

    def connect(self) -> http.client.HTTPSConnection:
        """A connection whose handshake is done; with TLS 1.3 a refusal shows only when something is read."""
        connection = http.client.HTTPSConnection(*self.address, context=self.context(), timeout=TIMEOUT_S)
        connection.connect()
        return connection

    def ask(self, method: str, target: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        """One request on a connection of its own."""
        connection = self.connect()
        try:
            return ask(connection, method, target, body, headers)
        finally:
            connection.close()

    def enc_keys(self, slave: str, **request: Any) -> list[dict[str, str]]:
        """Fresh keys, as the KME sent them."""
        answer = self.ask("POST", f"/api/v1/keys/{slave}/enc_keys", json.dumps(request).encode(), JSON)
        assert answer.status == 200, answer.message
        keys: list[dict[str, str]] = answer.body["keys"]
        return keys

    def dec_keys(self, master: str, *key_ids: str) -> Answer:
        """The keys of those IDs, by POST."""
        body = {"key_IDs": [{"key_ID": key_id} for key_id in key_ids]}
        return self.ask("POST", f"/api/v1/keys/{master}/dec_keys", json.dumps(body).encode(), JSON)


def ask(
    connection: http.client.HTTPSConnection,
    method: str,
    target: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """One request on an open connection."""
    connection.request(method, target, body, headers or {})
    response = connection.getresponse()
    sent = response.read()
    names = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, names, json.loads(sent) if sent else None)


def management(inventory: Inventory, kme: str, path: str) -> Any:
    """What a node says of itself."""
    return httpx.get(inventory.kme(kme).management_url + path, trust_env=False, timeout=TIMEOUT_S).json()


def spent(inventory: Inventory) -> dict[tuple[str, str], int]:
    """Bytes that are gone for good, per node and stream owner; the links go on producing, so stock says nothing.

    MAC and key-ID bytes are left out: they go to filling the streams, whatever the SAEs ask.
    """
    accounts = {}
    for kme in inventory.kmes:
        for stream in management(inventory, kme.id, "/v1/streams"):
            assert stream["balanced"], stream
            accounts[kme.id, stream["owner"]] = sum(
                stream[account] for account in ("delivered", "pad", "voided", "expired", "burnt")
            )
    return accounts


def until(true: Callable[[], bool]) -> None:
    """Waits for something that can only be seen by looking."""
    deadline = time.monotonic() + TIMEOUT_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(POLL_S)


def reload(inventory: Inventory, kme: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes a node.toml and sends SIGHUP; when this returns the node may not have read it yet."""
    entry = inventory.kme(kme)
    path = Path(entry.config)
    document = tomllib.loads(path.read_text())
    change(document)
    path.write_text(tomli_w.dumps(document))
    assert entry.pid
    os.kill(entry.pid, signal.SIGHUP)
