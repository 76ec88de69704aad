"""Wire formats of ETSI GS QKD 020 V1.1.1, bounded before they are parsed. A key's value never shows in a repr.

Members of a request that the standard does not know are refused, because a misspelt one would be a silent loss; in what
another KMS answers or acknowledges they are ignored.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from keyhop.core.errors import BadRequest
from keyhop.core.ids import MAX_NAME_LENGTH, key_id_from_text, key_id_text
from keyhop.core.keys import KeyMaterial
from keyhop.service.etsi020.problems import MISSING_PARAMETERS, Problem
from keyhop.service.etsi020.transfer import Transfer
from keyhop.service.strict_json import parse_strictly

MAX_BODY_BYTES = 1 << 20
MAX_CONTAINERS = 1 << 14
MAX_KEYS = 1024
"""In one request. The standard bounds the array of an acknowledgement so; we bound the others alike."""
MAX_TARGETS = 64
MAX_CALLBACK_URL = 1024
MAX_KEY_BYTES = 1 << 16

SYNCHRONOUS = "synchronous_mode"
type AckStatus = Literal["relayed", "failed", "voided", "failed to void", "key not present"]
type Extension = dict[str, Any]

_Sae = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
_KeyId = Annotated[str, Meta(min_length=36, max_length=36)]
_Targets = Annotated[tuple[_Sae, ...], Meta(min_length=1, max_length=MAX_TARGETS)]
_Callback = Annotated[str, Meta(min_length=1, max_length=MAX_CALLBACK_URL)]


class ExtKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A key that is handed over."""

    key_id: _KeyId
    value: KeyMaterial
    extension: Extension | None = None


class ExtKeyContainer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """POST ext_keys."""

    keys: Annotated[tuple[ExtKey, ...], Meta(min_length=1, max_length=MAX_KEYS)]
    initiator_sae_id: _Sae
    target_sae_ids: _Targets
    ack_callback_url: _Callback | None = None
    extension_mandatory: Extension | None = None
    extension_optional: Extension | None = None


def container_of(transfer: Transfer, callback: str | None) -> ExtKeyContainer:
    """What is handed over; without a callback in a synchronous call."""
    keys = tuple(
        ExtKey(key_id_text(key_id), key, transfer.key_optional.get(key_id))
        for key_id, key in zip(transfer.ids, transfer.keys, strict=True)
    )
    saes = transfer.saes
    return ExtKeyContainer(keys, saes.initiator, saes.targets, callback, extension_optional=transfer.optional)


class AckedKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """One key of an acknowledgement."""

    key_id: _KeyId
    extension: Extension | None = None


class Ack(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of keys. POST ext_keys/ack takes an array of these."""

    key_id_container: Annotated[tuple[AckedKey, ...], Meta(max_length=MAX_KEYS)]
    ack_status: AckStatus
    initiator_sae_id: _Sae
    target_sae_ids: _Targets
    message: str | None = None
    extension: Extension | None = None


class VoidContainer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """POST ext_keys/void. Without key IDs it means all keys of these SAEs."""

    key_ids: Annotated[tuple[_KeyId, ...], Meta(max_length=MAX_KEYS)]
    initiator_sae_id: _Sae
    target_sae_ids: _Targets
    ack_callback_url: _Callback | None = None
    extension: Extension | None = None
    all_confirmation: bool | None = None


class Versions(msgspec.Struct, frozen=True, omit_defaults=True):
    """GET versions."""

    versions: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=64)]
    capabilities: Annotated[tuple[Annotated[str, Meta(max_length=256)], ...], Meta(max_length=64)] = ()
    extension: Extension | None = None


Acks = Annotated[tuple[Ack, ...], Meta(min_length=1, max_length=MAX_KEYS)]
"""POST ext_keys/ack."""


def read[T](body: bytes, kind: type[T]) -> T:
    """A request, or an answer, of another KMS. Raises Problem, 400."""
    try:
        document = parse_strictly(body, max_bytes=MAX_BODY_BYTES, max_containers=MAX_CONTAINERS)
    except BadRequest as failure:
        raise Problem(400, reason=failure.message) from None
    try:
        return msgspec.convert(document, kind, dec_hook=_read_key)
    except msgspec.ValidationError as failure:
        said = str(failure)
        if "missing required field" in said:
            raise Problem(400, MISSING_PARAMETERS, reason=said) from None
        raise Problem(400, reason=said) from None


def write(value: object) -> bytes:
    """As JSON."""
    return msgspec.json.encode(value, enc_hook=_write_key)


def key_ids(texts: Iterable[str]) -> tuple[bytes, ...]:
    """The 16 bytes of each. Raises Problem, 400, for what is no UUID and for one that comes twice."""
    try:
        ids = tuple(map(key_id_from_text, texts))
    except BadRequest:
        raise Problem(400, reason="a key_id is not a UUID") from None
    if len(set(ids)) != len(ids):
        raise Problem(400, reason="a key_id stands there twice")
    return ids


def _read_key(kind: type, value: Any) -> Any:
    """ValueErrors become msgspec's, which tell the place and not the value."""
    if kind is not KeyMaterial or not isinstance(value, str):
        raise ValueError("Expected base64")
    try:
        key = base64.b64decode(value.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("Expected base64") from None
    if not 0 < len(key) <= MAX_KEY_BYTES:
        raise ValueError(f"Expected 1 to {MAX_KEY_BYTES} bytes of key")
    return KeyMaterial(key)


def _write_key(value: Any) -> Any:
    if isinstance(value, KeyMaterial):
        return base64.b64encode(value.reveal()).decode()
    raise TypeError("not a wire format")
