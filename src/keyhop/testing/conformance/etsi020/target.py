"""Who asks whom, and the requests that most checks make."""

import base64
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from keyhop.testing.conformance.checks import NotApplicable, NotConforming, Suite, expect
from keyhop.testing.conformance.etsi020.callbacks import Callbacks
from keyhop.testing.conformance.https import Party, Reply, member

TYPES = "https://qkd.etsi.org/gs020-interop-kms/"
VERSIONS = "/kmapi/versions"
EXT_KEYS = "/kmapi/v1/ext_keys"
ACK = EXT_KEYS + "/ack"
VOID = EXT_KEYS + "/void"
STATUSES = ("relayed", "failed", "voided", "failed to void", "key not present")
KEY_BYTES = 32
MAX_ACKS = 1024


@dataclass(frozen=True)
class Handed:
    """A key that this suite hands over."""

    id: str = field(default_factory=lambda: str(uuid4()))
    value: bytes = field(default_factory=lambda: secrets.token_bytes(KEY_BYTES), repr=False)

    def wire(self) -> dict[str, str]:
        """As it goes over the wire."""
        return {"key_id": self.id, "value": base64.b64encode(self.value).decode()}


@dataclass
class Etsi020Target:
    """The server under test, as the other KMS; an SAE of this suite's domain and one behind the server.

    `slave` is the target SAE at its own KME (ETSI GS QKD 014), for those checks that fetch what was handed over.
    """

    kms: Party
    callbacks: Callbacks
    initiator: str
    target: str
    slave: Party | None = None
    wait_s: float = 15.0

    def container(self, *keys: Handed, callback: bool = True, **more: Any) -> dict[str, Any]:
        """An ext_key_container; what is None in `more` is left out."""
        saes = {"initiator_sae_id": self.initiator, "target_sae_ids": [self.target]}
        body: dict[str, Any] = {"keys": [key.wire() for key in keys], **saes}
        return _without_none(body | self._callback(callback) | more)

    def void_container(self, *ids: str, callback: bool = True, **more: Any) -> dict[str, Any]:
        """A void_container."""
        saes = {"initiator_sae_id": self.initiator, "target_sae_ids": [self.target]}
        return _without_none({"key_ids": list(ids), **saes} | self._callback(callback) | more)

    def hand_over(self, *keys: Handed, **more: Any) -> None:
        """Hands keys over and waits until they are acknowledged as relayed. Raises NotConforming."""
        since = len(self.callbacks.arrived)
        reply = self.kms.post(EXT_KEYS, self.container(*keys, **more))
        expect(reply.status == 202, answered(reply))
        found = self.acknowledged(since, *(key.id for key in keys))
        expect(set(found.values()) == {"relayed"}, f"acknowledged as {', '.join(sorted(set(found.values())))}")

    def acknowledged(self, since: int, *ids: str) -> dict[str, str]:
        """The status of each key, once all are acknowledged. Raises NotConforming if that does not come in time."""
        deadline = time.monotonic() + self.wait_s
        with self.callbacks.changed:
            while True:
                found = dict(self._statuses(since))
                missing = [key_id for key_id in ids if key_id not in found]
                if not missing:
                    return {key_id: found[key_id] for key_id in ids}
                left = deadline - time.monotonic()
                expect(left > 0, f"no acknowledgement of {missing[0]} within {self.wait_s:g} s")
                self.callbacks.changed.wait(left)

    def synchronous(self) -> bool:
        """Whether the server says that it serves requests without a callback."""
        document = self.kms.get(VERSIONS).document()
        return isinstance(document, dict) and "synchronous_mode" in (document.get("capabilities") or [])

    def fetch(self, key: Handed) -> Reply:
        """Get key with key IDs, as the target SAE. Raises NotApplicable."""
        if self.slave is None:
            raise NotApplicable("needs the target SAE at its KME (--slave-…)")
        return self.slave.get(f"/api/v1/keys/{self.initiator}/dec_keys?key_ID={key.id}")

    def _callback(self, wanted: bool) -> dict[str, str]:
        return {"ack_callback_url": self.callbacks.url} if wanted else {}

    def _statuses(self, since: int) -> Iterator[tuple[str, str]]:
        for acknowledged in self.callbacks.arrived[since:]:
            for ack in _objects(acknowledged.body):
                if ack.get("initiator_sae_id") == self.initiator:
                    for item in _objects(ack.get("key_id_container")):
                        yield str(item.get("key_id")).lower(), str(ack.get("ack_status"))


SUITE: Suite[Etsi020Target] = Suite("ETSI GS QKD 020 V1.1.1")


def answered(reply: Reply) -> str:
    """`HTTP 400 to POST /kmapi/v1/ext_keys: missing-parameters; reason: …`."""
    if reply.status < 400:  # it may have a key in it
        return reply.outcome
    try:
        document = reply.any_document()
    except NotConforming:
        return reply.outcome
    if not isinstance(document, dict):
        return reply.outcome
    details = document.get("details")
    said = [str(document.get("type", "")).removeprefix(TYPES), str(document.get("title", ""))]
    said += [f"{name}: {text}" for name, text in details.items()] if isinstance(details, dict) else []
    words = "; ".join(each for each in said if each and each != "about:blank")
    return f"{reply.outcome}: {words}" if words else reply.outcome


def problem(reply: Reply, *codes: int, kind: str | None = None) -> dict[str, Any]:
    """A problem document with one of these codes, of that type if given. Raises NotConforming."""
    expect(reply.status in codes, answered(reply))
    document: dict[str, Any] = reply.any_document()
    expect(isinstance(document, dict), f"{reply.outcome} with a document that is no object")
    found = member(document, "type", str, "the problem document")
    if kind is not None:
        expect(found == TYPES + kind, f"the type {found[:120]}")
    details = document.get("details")
    strings = isinstance(details, dict) and all(isinstance(text, str) for text in details.values())
    expect(details is None or strings, "details is no object of strings")
    status = document.get("status", reply.status)
    expect(status == reply.status, f"status {status} in a document with HTTP {reply.status}")
    return document


def _objects(value: Any) -> list[dict[str, Any]]:
    """Those in an array; none of what is no array."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _without_none(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}
