"""Who asks whom, and the requests that most checks make."""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from uuid import UUID

from keyhop.testing.conformance.checks import NotApplicable, NotConforming, Suite, expect
from keyhop.testing.conformance.https import Party, Reply, member

COUNTS = (
    "key_size",
    "stored_key_count",
    "max_key_count",
    "max_key_per_request",
    "max_key_size",
    "min_key_size",
    "max_SAE_ID_count",
)
NAMES = ("source_KME_ID", "target_KME_ID", "master_SAE_ID", "slave_SAE_ID")


@dataclass(frozen=True)
class Key:
    """One key of a container."""

    id: str
    secret: bytes = field(repr=False)


@dataclass
class Etsi014Target:
    """A master SAE and a slave SAE, each at its KME, and perhaps a third SAE, at the slave's KME."""

    master: Party
    slave: Party
    stranger: Party | None = None

    def status(self) -> dict[str, Any]:
        """What the master's KME says of the pair."""
        reply = self.master.get(keys_path(self.slave, "status"))
        expect(reply.status == 200, answered(reply))
        document: dict[str, Any] = reply.document()
        return document

    def new_keys(self, number: int = 1, size: int | None = None) -> list[Key]:
        """Fresh keys for the slave, by POST."""
        request: dict[str, Any] = {"number": number}
        return container(self.ask_keys(request | ({} if size is None else {"size": size})))

    def ask_keys(self, request: Any) -> Reply:
        """Get key by POST of any value."""
        return self.master.post(keys_path(self.slave, "enc_keys"), request)

    def fetch(self, *ids: str, party: Party | None = None, master: Party | None = None) -> Reply:
        """Get key with key IDs by POST, as the slave unless said otherwise."""
        path = keys_path(master or self.master, "dec_keys")
        return (party or self.slave).post(path, {"key_IDs": [{"key_ID": key_id} for key_id in ids]})

    def third(self) -> Party:
        """The stranger. Raises NotApplicable."""
        if self.stranger is None:
            raise NotApplicable("needs a third SAE (--stranger-…)")
        return self.stranger


SUITE: Suite[Etsi014Target] = Suite("ETSI GS QKD 014 V1.1.1")


def keys_path(other: Party, call: str) -> str:
    """The path of a call about keys shared with another SAE."""
    return f"/api/v1/keys/{quote(other.identity.id, safe='')}/{call}"


def container(reply: Reply) -> list[Key]:
    """The keys of a Key container (clause 6.3). Raises NotConforming."""
    expect(reply.status == 200, answered(reply))
    keys = []
    for item in member(reply.document(), "keys", list, "the Key container"):
        key_id, text = member(item, "key_ID", str, "a key"), member(item, "key", str, "a key")
        expect(is_uuid(key_id), f"a key_ID that is not a UUID: {key_id[:60]!r}")
        try:
            keys.append(Key(key_id, base64.b64decode(text, validate=True)))
        except (binascii.Error, ValueError):
            raise NotConforming("a key that is not base64") from None
    return keys


def answered(reply: Reply) -> str:
    """`HTTP 400 to GET …: size shall be a multiple of 8`, without ever showing what may be a key."""
    if reply.status == 200:
        return reply.outcome
    try:
        message = reply.any_document().get("message", "")
    except (NotConforming, AttributeError):
        message = ""
    return f"{reply.outcome}: {str(message)[:120]}" if message else reply.outcome


def refused(reply: Reply, *codes: int, message: str | None = None) -> None:
    """An Error (clause 6.5) with one of these codes, and the standard's own words if given. Raises NotConforming."""
    expect(reply.status in codes, answered(reply))
    document = reply.document()
    said = member(document, "message", str, "the Error")
    if message is not None:
        expect(said == message, f"the message {said[:120]!r}")
    details = document.get("details", [])
    expect(isinstance(details, list) and all(isinstance(d, dict) for d in details), "details is no array of objects")


def is_uuid(text: str) -> bool:
    """The 8-4-4-4-12 form."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
